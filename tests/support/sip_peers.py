"""SIP peers of a relay that say exactly what the test tells them to, over UDP on loopback."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import cast

from sipis.sip.digest import Algorithm, DigestChallenge, answer, ha1
from sipis.sip.headers import Challenge
from sipis.sip.message import Message, Request, Response, parse_message, response_to

PATIENCE = 5.0
REGISTRAR = "provider.example"
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0\r\n"
)
ANSWER = OFFER.replace(b"192.0.2.1", b"192.0.2.2")


class Peer(asyncio.DatagramProtocol):
    """A SIP peer made of one UDP socket: it sends what it is told and keeps what it gets."""

    over = "UDP"

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.address = ("", 0)
        self.goal = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None
        self._numbers = itertools.count(1)

    @classmethod
    async def open(cls, goal: tuple[str, int], host: str = "127.0.0.1") -> "Peer":
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        peer.goal = goal
        return peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if data.strip():
            self.inbox.put_nowait(parse_message(data))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    @property
    def hostport(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def send(self, message: Message) -> None:
        assert self._transport is not None
        self._transport.sendto(message.to_bytes(), self.goal)

    def request(
        self,
        method: str,
        uri: str,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
        branch: str | None = None,
    ) -> Request:
        """A request under a Via of this peer, sent."""
        branch = branch or f"z9hG4bK{next(self._numbers)}-{self.address[1]}"
        via = ("Via", f"SIP/2.0/{self.over} {self.hostport};branch={branch};rport")
        hops = (
            [] if any(name == "Max-Forwards" for name, _ in headers) else [("Max-Forwards", "70")]
        )
        request = Request.build(method, uri, [via, *hops, *headers], body)
        self.send(request)
        return request

    async def next(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            return await self.inbox.get()

    async def response(self, status: int) -> Response:
        """The next response, which must have this status; 100s before it are passed over."""
        while True:
            message = await self.next()
            assert isinstance(message, Response), message.to_bytes()
            if message.status == status:
                return message
            assert message.status == 100, message.to_bytes()

    async def asked(self, method: str) -> Request:
        """The next request, which must have this method."""
        message = await self.next()
        assert isinstance(message, Request), message.to_bytes()
        assert message.method == method, message.to_bytes()
        return message

    def respond(
        self,
        request: Request,
        status: int,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        tag: str = "peer-tag",
    ) -> Response:
        response = response_to(request, status, to_tag=tag)
        if request.method == "INVITE" and 100 < status < 300:
            response.headers.add("Contact", f"<sip:peer@{self.hostport}>")
        for name, value in headers:
            response.headers.add(name, value)
        response.body = body
        self.send(response)
        return response

    async def silence(self) -> bool:
        """Whether nothing is on its way: all that loopback delivers is in after some turns."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self.inbox.empty()


class Caller(Peer):
    """The provider's side."""

    async def final(self) -> Response:
        """The final response to the INVITE, after whatever is said on the way to it."""
        while True:
            message = await self.next()
            assert isinstance(message, Response), message.to_bytes()
            if message.status >= 200 and message.cseq.method == "INVITE":
                return message

    def invite(
        self,
        uri: str,
        *,
        call_id: str = "call-1",
        tag: str = "caller",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = OFFER,
        to: str = f"<sip:alice@{REGISTRAR}>",
        branch: str | None = None,
    ) -> Request:
        content = [("Content-Type", "application/sdp")] if body else []
        return self.request(
            "INVITE",
            uri,
            [
                ("From", f'"Bob" <sip:bob@{REGISTRAR}>;tag={tag}'),
                ("To", to),
                ("Call-ID", call_id),
                ("CSeq", "1 INVITE"),
                ("Contact", f"<sip:bob@{self.hostport}>"),
                *content,
                *headers,
            ],
            body,
            branch,
        )

    def cancel(self, invite: Request, headers: Iterable[tuple[str, str]] = ()) -> None:
        copied = [
            (name, invite.headers.get(name) or "") for name in ("Via", "From", "To", "Call-ID")
        ]
        self.send(
            Request.build(
                "CANCEL",
                invite.uri_text,
                [*copied, ("Max-Forwards", "70"), ("CSeq", "1 CANCEL"), *headers],
            )
        )

    def acknowledge(self, invite: Request, refusal: Response) -> None:
        """The ACK to a refusal (RFC 3261 17.1.1.3)."""
        copied = [(name, invite.headers.get(name) or "") for name in ("Via", "From", "Call-ID")]
        own = [("To", refusal.headers.get("To") or ""), ("CSeq", "1 ACK"), ("Max-Forwards", "70")]
        self.send(Request.build("ACK", invite.uri_text, [*copied, *own]))

    def within(
        self,
        method: str,
        invite: Request,
        ok: Response,
        *,
        cseq: int = 2,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        """A request inside the dialog that the 2xx opened."""
        return self.request(
            method,
            str(ok.contacts[0].uri),
            [
                ("From", invite.headers.get("From") or ""),
                ("To", ok.headers.get("To") or ""),
                ("Call-ID", invite.call_id),
                ("CSeq", f"{cseq} {method}"),
                *([("Contact", f"<sip:bob@{self.hostport}>")] if method != "ACK" else []),
                *headers,
            ],
            body,
        )


class Handset(Peer):
    """The app's side."""

    def __init__(self) -> None:
        super().__init__()
        self._cseq = itertools.count(1)
        self.login = ("", "")

    async def register(
        self,
        *,
        expires: int = 600,
        contact: str | None = None,
        wrong: bool = False,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Response:
        """REGISTER, answer the challenge, return the final response."""
        self._register(expires, contact, [])
        challenged = await self.response(401)
        user, password = self.login
        value = challenged.headers.get("WWW-Authenticate") or ""
        challenge = DigestChallenge.from_challenge(Challenge.parse(value), proxy=False)
        assert challenge is not None
        proof = answer(
            challenge,
            user=user,
            ha1_hex=ha1(Algorithm.MD5, user, challenge.realm, "wrong" if wrong else password),
            method="REGISTER",
            uri="sip:sipis",
            cnonce="c",
            nonce_count=1,
            qop="auth",
        )
        self._register(expires, contact, [("Authorization", proof), *headers])
        message = await self.next()
        assert isinstance(message, Response)
        return message

    def _register(
        self, expires: int, contact: str | None, headers: list[tuple[str, str]]
    ) -> Request:
        user = self.login[0]
        own = [
            ("From", f"<sip:{user}@sipis>;tag=h"),
            ("To", f"<sip:{user}@sipis>"),
            ("Call-ID", f"reg-{self.address[1]}"),
            ("CSeq", f"{next(self._cseq)} REGISTER"),
            ("Contact", contact or f"<sip:app@{self.hostport}>"),
            ("Expires", str(expires)),
            ("Allow", "INVITE, ACK, CANCEL, BYE, INFO, UPDATE, OPTIONS, MESSAGE, NOTIFY"),
            ("Supported", "outbound, path"),
            ("User-Agent", "softphone/1.0"),
            *headers,
        ]
        return self.request("REGISTER", "sip:sipis", own)

    def within(
        self,
        method: str,
        invite: Request,
        *,
        cseq: int = 1,
        tag: str = "peer-tag",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        """A request inside the dialog of the INVITE that this handset has answered."""
        return self.request(
            method,
            str(invite.contacts[0].uri),
            [
                ("From", f"{invite.headers.get('To')};tag={tag}"),
                ("To", invite.headers.get("From") or ""),
                ("Call-ID", invite.call_id),
                ("CSeq", f"{cseq} {method}"),
                *([("Contact", f"<sip:app@{self.hostport}>")] if method != "ACK" else []),
                *headers,
            ],
            body,
        )
