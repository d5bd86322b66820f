"""From an INVITE on the wire to the push request at the service, at 100 calls a second.

Every call is for another sleeping phone; the push service notes when the push for its token came.
The peer is a Kamailio that posts the same kind of request from its script with http_client, since
Debian does not package http_async_client: one call blocks one of its processes.
"""

import json
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.peers import DOMAIN, Kamailio
from bench.phones import APP, Phone, put_to_sleep
from bench.programs import NotHere, Program, wait_until
from bench.push_service import ARRIVALS, SETTINGS
from bench.report import Figure, Target, quantile
from bench.server import ROOT, Server
from sipis.store.connection import MAIN_FILE

CALLS_PER_SECOND = 100
CALLS, QUICK_CALLS = 1000, 300
WARM_UP = 50
"""First calls that do not count: connections to the service are opened meanwhile."""
HTTP_CLIENT = "kamailio/modules/http_client.so"
FIGURES = ("p50", 0.5, 2.0), ("p99", 0.99, 10.0)

_SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Median and tail, beside Kamailio."""
    calls = QUICK_CALLS if quick else CALLS
    with tempfile.TemporaryDirectory() as name:
        ours = _sipis(Path(name) / "sipis", calls)
        try:
            theirs, note = _kamailio(Path(name) / "kamailio", calls), ""
        except NotHere as missing:
            theirs, note = [], f"no peer: {missing}"
    for label, share, most in FIGURES:
        yield Figure(
            f"invite to push: {CALLS_PER_SECOND} calls/s, {label}", quantile(ours, share), "ms",
            quantile(theirs, share) if theirs else None, "Kamailio http_client",
            Target(most=most), note,
        )  # fmt: skip


def _sipis(folder: Path, calls: int) -> list[float]:
    """Milliseconds of each call to a server with sleeping phones."""
    with _Service(folder / "fcm") as service:
        sections: dict[str, Mapping[str, object]] = {
            f"apps.{APP}": {"require_verification": False},
            f"apps.{APP}.fcm": service.settings,
            f'providers."{DOMAIN}"': {"extra_sources": ["127.0.0.1"]},
        }
        with Server(folder / "server", **sections) as server:
            phones = [Phone(f"user{i:05}", DOMAIN, "x", token=f"t{i}") for i in range(calls)]
            put_to_sleep(server.data, phones, bound=3600)
            contacts = _contacts(server.data)
            server.start()
            time.sleep(1)
            began = _call(server.sip_port, [f"{name};line={name}" for name in contacts])
        return service.delays(began)


def _kamailio(folder: Path, calls: int) -> list[float]:
    """Milliseconds of each call to a Kamailio that posts."""
    if not list(Path("/usr/lib").glob(f"*/{HTTP_CLIENT}")):
        raise NotHere("Kamailio's http_client (package kamailio-utils-modules) is not installed")
    with _Service(folder / "fcm") as service:
        url = f"{service.settings['base_url']}/v1/projects/world-project/messages:send"
        kamailio = Kamailio("push.cfg", folder / "kamailio", {"URL": url})
        try:
            return service.delays(_call(kamailio.port, [f"t{i}" for i in range(calls)]))
        finally:
            kamailio.stop()


class _Service:
    """The push service in a process of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        command = [sys.executable, "-m", "bench.push_service", str(folder)]
        self._program = Program(command, folder, {"PYTHONPATH": str(ROOT)})
        wait_until((folder / SETTINGS).exists, "the push service")
        self.settings: dict[str, object] = json.loads((folder / SETTINGS).read_text())

    def __enter__(self) -> "_Service":
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()

    def delays(self, began: Sequence[float]) -> list[float]:
        """Milliseconds from the INVITE of each call to the push for its token."""
        self._program.stop()
        arrivals = json.loads((self._folder / ARRIVALS).read_text())
        counted = range(WARM_UP, len(began))
        return [(arrivals.get(f"t{i}", began[i] + 60) - began[i]) * 1e3 for i in counted]


def _call(port: int, users: Sequence[str]) -> list[float]:
    """Send an INVITE to each user at an even pace; returns when each was sent, monotonic."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
        caller.bind(("127.0.0.1", 0))
        own = caller.getsockname()[1]
        invites = [_invite(user, port, own, number) for number, user in enumerate(users)]
        sent, start = [], time.monotonic()
        for number, invite in enumerate(invites):
            time.sleep(max(0.0, start + number / CALLS_PER_SECOND - time.monotonic()))
            sent.append(time.monotonic())
            caller.sendto(invite, ("127.0.0.1", port))
        time.sleep(2)
        return sent


def _invite(user: str, port: int, own: int, number: int) -> bytes:
    name, _, params = user.partition(";")
    lines = (
        f"INVITE sip:{name}@127.0.0.1:{port};{params} SIP/2.0".replace("; ", " "),
        f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKbench{number};rport",
        "Max-Forwards: 69",
        f'From: "Caller" <sip:caller@{DOMAIN}>;tag=from{number}',
        f"To: <sip:user{number:05}@{DOMAIN}>",
        f"Call-ID: call-{number}@bench",
        "CSeq: 1 INVITE",
        f"Contact: <sip:caller@127.0.0.1:{own}>",
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS",
        "Content-Type: application/sdp",
        f"Content-Length: {len(_SDP)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + _SDP


def _contacts(data: Path) -> list[str]:
    """The Contact users of all phones, in the order in which they were put to sleep."""
    connection = sqlite3.connect(f"file:{data / MAIN_FILE}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT contact_token FROM instances ORDER BY n")
        return [row[0].hex() for row in rows]
    finally:
        connection.close()
