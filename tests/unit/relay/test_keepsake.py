"""What a sealed call carries over a restart."""

import json

import pytest

from sipis.relay.keepsake import MOST_KEPT, invite_in, of_invite, origin_in
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request
from sipis.transport.targets import Target


def flow(transport: Transport = Transport.UDP) -> Flow:
    return Flow(1, Door.PROVIDER, transport, ("192.0.2.1", 5060), ("192.0.2.9", 5070))


def invite(body: bytes = b"v=0\r\n") -> Request:
    return Request.build("INVITE", "sip:a@192.0.2.1", [("Call-ID", "one")], body)


@pytest.mark.parametrize("body", [b"", b"v=0\r\ns=caf\xc3\xa9\r\n", b"\xff\xfe\x00\x80 no text"])
def test_an_invite_comes_back_byte_for_byte(body: bytes) -> None:
    kept = json.loads(json.dumps(of_invite(invite(body), flow())))
    assert invite_in(kept) == invite(body).to_bytes()
    assert origin_in(kept) == Target(Transport.UDP, "192.0.2.9", 5070)


@pytest.mark.parametrize("transport", [it for it in Transport if it is not Transport.UDP])
def test_an_invite_of_a_connection_is_not_kept(transport: Transport) -> None:
    assert of_invite(invite(), flow(transport)) is None


def test_an_oversize_invite_is_not_kept() -> None:
    bare = len(of_invite(invite(b"x" * 1000), flow())["invite"]) - 1000  # type: ignore[index,arg-type]
    fits = b"x" * (MOST_KEPT - bare - 1)
    assert of_invite(invite(fits), flow()) is not None
    assert of_invite(invite(fits + b"xx"), flow()) is None
