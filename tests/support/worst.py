"""Inputs of 64 KiB that are made to cost as much as they can, and what reads them whole."""

from collections.abc import Callable
from typing import Final

from sipis.errors import RemoteProtocolError
from sipis.sip.framing import StreamFramer
from sipis.sip.headers import Challenge, NameAddr, Reason, RetryAfter, Via, first_value
from sipis.sip.limits import MAX_STREAM_MESSAGE
from sipis.sip.message import Message, parse_message, salvage_request
from sipis.sip.sdp import without_crypto

HEAD: Final = (
    b"OPTIONS sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
    b"To: <sip:b@x>\r\nCall-ID: abc\r\nCSeq: 7 OPTIONS\r\n"
)
FILLS: Final = (
    b"A:\r\n", b"A:\r\n \r\n", b"\r\n ", b"\r\n l", b"\r\nl ", b"\r\nl:", b"\r\n", b"\r", b"\n",
    b"\0", b"\\\0", b",", b'"', b'\\"', b'"",', b"<", b"<>,", b"<sip:a>,", b";", b";a", b"; ", b"=",
    b" \t", b"a,", b"a@", b"?", b"%", b"[", b":", b"Via: SIP/2.0/UDP a,", b"Digest a=b,", b"(",
    b"()", b"\xff", b"\xc3\xa4", b"0", b"v=0\r\n", b"m=a 1 b\r\n", b"a=crypto\r\n", b"c=\r\n",
)  # fmt: skip
NAMES: Final = ("Via", "Contact", "WWW-Authenticate", "Require")
HEADER_TYPES: Final = (NameAddr, Via, Challenge, Reason, RetryAfter)


def worst_inputs() -> dict[str, bytes]:
    """Each filling in each place, as a whole message by its name."""
    inputs = {}
    for fill in FILLS:
        long = fill * (60_000 // len(fill))
        lines = b"".join(b"X: " + (fill * (8000 // len(fill))) + b"\r\n" for _ in range(7))
        inputs[f"{fill!r} instead of a message"] = long
        inputs[f"{fill!r} in the start line"] = b"OPTIONS sip:" + long + b" SIP/2.0\r\n\r\n"
        inputs[f"{fill!r} in the body"] = HEAD + b"\r\nv=0\r\n" + long
        inputs[f"{fill!r} in seven lines"] = HEAD + lines + b"\r\n"
        for name in NAMES:
            head = HEAD.replace(name.encode() + b": ", b"X: ")
            inputs[f"{fill!r} in {name}"] = head + name.encode() + b": " + long + b"\r\n\r\n"
    return inputs


def read_everything(data: bytes) -> None:
    """What a hostile packet can make us do, and more: every reader of the room has a look."""
    for read in READERS:
        try:
            read(data)
        except RemoteProtocolError:
            continue


def touch(message: Message | None) -> None:
    """Read every header that has a type; a broken one does not spare us the next."""
    if message is None:
        return
    for name in FIELDS:
        try:
            getattr(message, name)
        except RemoteProtocolError:
            continue


FIELDS: Final = (
    "vias", "via", "from_", "to", "call_id", "cseq", "contacts", "routes", "record_routes",
    "max_forwards", "expires", "min_expires", "retry_after", "content_type", "supported", "require",
)  # fmt: skip


def _read_and_touch(data: bytes) -> None:
    touch(parse_message(data))


def _salvage_and_touch(data: bytes) -> None:
    touch(salvage_request(data))


def _frame(data: bytes) -> None:
    StreamFramer().feed(data)


def _frame_in_pieces(data: bytes) -> None:
    framer = StreamFramer()
    for start in range(0, len(data), 64):
        framer.feed(data[start : start + 64])


def _read_header_values(data: bytes) -> None:
    text = data[-MAX_STREAM_MESSAGE:].decode("utf-8", "surrogateescape")
    first_value(text)
    for kind in HEADER_TYPES:
        try:
            kind.parse(text)
        except RemoteProtocolError:
            continue


def _take_keys_out(data: bytes) -> None:
    without_crypto(data.partition(b"\r\n\r\n")[2])


READERS: Final[tuple[Callable[[bytes], None], ...]] = (
    _read_and_touch, _salvage_and_touch, _frame, _frame_in_pieces, _read_header_values,
    _take_keys_out,
)  # fmt: skip
