from collections.abc import Callable, Sequence
from itertools import count

import pytest

from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Request


@pytest.fixture
def udp() -> Flow:
    return Flow(1, Door.PROVIDER, Transport.UDP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))


@pytest.fixture
def tcp() -> Flow:
    return Flow(2, Door.PROVIDER, Transport.TCP, ("192.0.2.9", 5060), ("192.0.2.1", 5060))


@pytest.fixture
def token() -> Callable[[], str]:
    """Texts that are fresh, if not random."""
    numbers = count(1)
    return lambda: f"token{next(numbers)}"


@pytest.fixture
def make_request() -> Callable[..., Request]:
    """A request with every header that one needs; branch None leaves out the parameter."""

    def make(
        method: str = "INVITE",
        *,
        uri: str = "sip:bob@192.0.2.9",
        branch: str | None = "z9hG4bKone",
        sent_by: str = "192.0.2.1:5060",
        via: str | None = None,
        cseq: int = 1,
        call_id: str = "call-1",
        from_tag: str | None = "alice",
        to_tag: str | None = None,
        extra: Sequence[tuple[str, str]] = (),
    ) -> Request:
        def tagged(address: str, tag: str | None) -> str:
            return f"<{address}>" if tag is None else f"<{address}>;tag={tag}"

        hop = f"SIP/2.0/UDP {sent_by}" + (f";branch={branch}" if branch is not None else "")
        headers = [
            ("Via", hop if via is None else via),
            ("Max-Forwards", "70"),
            ("From", tagged("sip:alice@example.com", from_tag)),
            ("To", tagged("sip:bob@example.com", to_tag)),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", "<sip:alice@192.0.2.1:5060>"),
            *extra,
        ]
        return Request.build(method, uri, headers)

    return make
