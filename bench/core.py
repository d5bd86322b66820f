"""The SIP core alone: messages parsed and built, transactions carried, the worst input.

sipmessage and aiosipua do the same work in the same run, turn by turn, where they are installed.

    python -m bench core [--quick]
"""

import gc
import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

from bench import core_peers
from bench.core_samples import SAMPLES, Sample
from bench.report import Figure, Target
from sipis.errors import RemoteProtocolError
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request, Response, parse_message, response_to
from sipis.sip.stack import Stack
from tests.support.worst import READERS, worst_inputs

ROUNDS, TURNS = 7, 40
"""Each is measured that often, in turn, and the best one counts: noise only ever slows."""
FEW, MANY = 10, 10_000
UNIT: Final = "messages/s"

Work = Callable[[Sample], object]


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Parse and build beside the peers, then what only we do."""
    repeats = 50 if quick else 200
    for sample in SAMPLES:
        yield _beside(f"core: {sample.name} parsed, core fields read", sample, "parse", repeats,
                      Target(least=3.0, of_peer=True))  # fmt: skip
    for sample in SAMPLES:
        yield _beside(f"core: {sample.name} built", sample, "build", repeats)
    yield _transactions()
    yield _worst()


@dataclass(frozen=True)
class Codec:
    """What reads and writes messages; both return what they made, so that nothing is saved."""

    parse: Work
    build: Work


def parse(sample: Sample) -> object:
    """Parse and read what every element needs."""
    message = parse_message(sample.data)
    return message.branch, message.from_tag, message.to_tag, message.call_id, message.cseq


def build(sample: Sample) -> object:
    """Make a message out of names and values, and write it."""
    if sample.status:
        return Response.build(sample.status, sample.reason, sample.headers, sample.body).to_bytes()
    return Request.build(sample.method, sample.uri, sample.headers, sample.body).to_bytes()


def _codecs() -> dict[str, Codec]:
    known = {"sipmessage": core_peers.sipmessage_codec, "aiosipua": core_peers.aiosipua_codec}
    found = {name: make for name, make in known.items() if importlib.util.find_spec(name)}
    return {name: Codec(*make()) for name, make in found.items()}


def _beside(
    name: str, sample: Sample, work: str, repeats: int, target: Target | None = None
) -> Figure:
    codecs = {"sipis": Codec(parse, build), **_codecs()}
    works: dict[str, Work] = {who: getattr(codec, work) for who, codec in codecs.items()}
    rates = dict.fromkeys(works, 0.0)
    for _ in range(TURNS):
        for who, one in works.items():
            rates[who] = max(rates[who], _rate(one, sample, repeats))
    ours = rates.pop("sipis")
    if not rates:
        return Figure(name, ours, UNIT, target=target, note="peer not installed")
    best = max(rates, key=rates.__getitem__)
    others = ", ".join(f"{who} {rate:,.0f}" for who, rate in rates.items() if who != best)
    return Figure(name, ours, UNIT, rates[best], best, target, note=others)


def _rate(work: Work, sample: Sample, repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        work(sample)
    return repeats / (time.process_time() - began)


def _transactions() -> Figure:
    """The whole life of a transaction of ours, its siblings outstanding."""
    few, many = float("inf"), float("inf")
    for _ in range(ROUNDS):
        few = min(few, _cost(FEW))
        many = min(many, _cost(MANY))
    name = f"core: CPU per transaction, {MANY:,} outstanding"
    return Figure(name, many, "us", few, f"{FEW} outstanding", Target(most=1.1, of_peer=True))


def _cost(outstanding: int) -> float:
    """CPU microseconds of each transaction, MANY in all."""
    stack = Stack(token=map(str, count(10**31)).__next__)
    gc.collect()
    began = time.process_time()
    for turn in range(MANY // outstanding):
        _carry(stack, outstanding, turn * 100.0)
    return (time.process_time() - began) / MANY * 1e6


def _carry(stack: Stack, outstanding: int, now: float) -> None:
    """Send, repeat once, answer, and let all end."""
    for _ in range(outstanding):
        stack.send_request(_REGISTER, _FLOW, now, via_host="192.0.2.9", via_port=5060)
    sent = stack.datagrams_to_send(now)
    stack.on_timer(now + 0.5)
    stack.datagrams_to_send(now + 0.5)
    for data, flow in sent:
        asked = parse_message(data)
        assert isinstance(asked, Request)
        stack.receive(response_to(asked, 200).to_bytes(), flow, now + 0.6)
        stack.next_event()
    stack.on_timer(now + 90)
    assert stack.transactions == 0


_FLOW: Final = Flow(1, Door.PROVIDER, Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))
_REGISTER: Final = Request.build("REGISTER", "sip:example.com", SAMPLES[0].headers[1:])


def _worst() -> Figure:
    slowest = max(
        min(_milliseconds(read, data) for _ in range(3))
        for data in worst_inputs().values()
        for read in READERS
    )
    return Figure("core: worst 64 KiB input", slowest, "ms", target=Target(most=20.0))


def _milliseconds(read: Callable[[bytes], None], data: bytes) -> float:
    began = time.process_time()
    with suppress(RemoteProtocolError):
        read(data)
    return (time.process_time() - began) * 1000
