"""The messages that bench.core works on: what a registration and a call consist of."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sample:
    """One message: as bytes, and as what it is made of; a status of 0 means a request."""

    name: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    method: str = ""
    uri: str = ""
    status: int = 0
    reason: str = ""

    @property
    def start_line(self) -> str:
        """The first line."""
        if self.status:
            return f"SIP/2.0 {self.status} {self.reason}"
        return f"{self.method} {self.uri} SIP/2.0"

    @property
    def data(self) -> bytes:
        """The message as it comes off the wire."""
        return _WIRE[self.name]


_SDP: Final = b"".join(
    line + b"\r\n"
    for line in (
        b"v=0", b"o=- 3747 3747 IN IP4 192.0.2.101", b"s=-", b"c=IN IP4 192.0.2.101", b"t=0 0",
        b"m=audio 49172 RTP/AVP 9 8 0 101", b"a=rtpmap:9 G722/8000", b"a=rtpmap:8 PCMA/8000",
        b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:101 telephone-event/8000", b"a=fmtp:101 0-15",
        b"a=rtcp:49173", b"a=ptime:20", b"a=sendrecv",
    )
)  # fmt: skip
_ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY, MESSAGE"
_DIALOG: Final = (
    ("From", '"Alice" <sip:+4930123456@provider.example>;tag=9fxced76sl'),
    ("To", "<sip:+4930654321@provider.example>"),
    ("Call-ID", "2xTb9vxSit55XU7p8-3848276298220188511@192.0.2.101"),
    ("CSeq", "1 INVITE"),
)
_HOPS: Final = (
    ("Via", "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK7f4c9a21.be3d0c1a;i=1"),
    ("Via", "SIP/2.0/TCP 192.0.2.101:5060;received=198.51.100.4;rport=40123;branch=z9hG4bK74bf9"),
)
_NONCE: Final = "YjNhN2M0ZTk2ZjQwZjQ4ODg4ZjQ4ODg4"
_LENGTH: Final = ("Content-Length", "0")
_SDP_HEADERS: Final = (("Content-Type", "application/sdp"), ("Content-Length", str(len(_SDP))))

SAMPLES: Final = (
    Sample(
        "REGISTER",
        (
            ("Via", "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKd41c6f0be8a94a6d91c5;rport"),
            ("Max-Forwards", "70"),
            ("From", "<sip:+4930123456@provider.example>;tag=5c3a9f2ee1b44d8a"),
            ("To", "<sip:+4930123456@provider.example>"),
            ("Call-ID", "7c1e9b3a5d2f48e6a0b4c8d1e5f92a37"),
            ("CSeq", "4711 REGISTER"),
            ("Contact", "<sip:9f8e7d6c5b4a39281706f5e4d3c2b1a0@203.0.113.9:5060>;expires=600"
                        ';+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";reg-id=1'),
            ("Expires", "600"),
            ("Supported", "path, outbound, gruu"),
            ("Allow", _ALLOW),
            ("Authorization", f'Digest username="+4930123456", realm="provider.example",'
                              f' nonce="{_NONCE}", uri="sip:provider.example",'
                              ' response="7587245234b3434cc3412213e5f113a5", algorithm=MD5,'
                              ' cnonce="0a4f113b", qop=auth, nc=00000001'),
            ("User-Agent", "sipis"),
            _LENGTH,
        ),
        method="REGISTER", uri="sip:provider.example",
    ),
    Sample(
        "401",
        (
            ("Via", "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKd41c6f0be8a94a6d91c5;rport=5060"
                    ";received=203.0.113.9"),
            ("From", "<sip:+4930123456@provider.example>;tag=5c3a9f2ee1b44d8a"),
            ("To", "<sip:+4930123456@provider.example>;tag=b27e1a1d33761e85846fc98f5f3a7e58.86b2"),
            ("Call-ID", "7c1e9b3a5d2f48e6a0b4c8d1e5f92a37"),
            ("CSeq", "4711 REGISTER"),
            ("WWW-Authenticate", f'Digest realm="provider.example", nonce="{_NONCE}", qop="auth"'),
            ("Server", "registrar"),
            _LENGTH,
        ),
        status=401, reason="Unauthorized",
    ),
    Sample(
        "INVITE with SDP",
        (
            *_HOPS, ("Max-Forwards", "68"),
            ("Record-Route", "<sip:203.0.113.7;lr;ftag=9fxced76sl;did=1a2.b3c>"), *_DIALOG,
            ("Contact", "<sip:+4930123456@192.0.2.101:5060;transport=tcp>"), ("Allow", _ALLOW),
            ("Supported", "timer, replaces"), ("Session-Expires", "1800"),
            ("P-Asserted-Identity", "<sip:+4930123456@provider.example>"),
            ("User-Agent", "desk phone 4.2"), *_SDP_HEADERS,
        ),
        _SDP, method="INVITE", uri="sip:9f8e7d6c5b4a39281706f5e4d3c2b1a0@203.0.113.9:5060",
    ),
    Sample(
        "200 with SDP",
        (
            *_HOPS, ("Record-Route", "<sip:203.0.113.7;lr;ftag=9fxced76sl;did=1a2.b3c>"),
            _DIALOG[0], ("To", _DIALOG[1][1] + ";tag=8321234356"), *_DIALOG[2:],
            ("Contact", "<sip:9f8e7d6c5b4a39281706f5e4d3c2b1a0@203.0.113.9:5060>"),
            ("Allow", _ALLOW), ("Server", "sipis"), *_SDP_HEADERS,
        ),
        _SDP, status=200, reason="OK",
    ),
)  # fmt: skip


def _wire(sample: Sample) -> bytes:
    lines = [sample.start_line, *(f"{name}: {value}" for name, value in sample.headers), "\r\n"]
    return "\r\n".join(lines).encode() + sample.body


_WIRE: Final = {sample.name: _wire(sample) for sample in SAMPLES}
