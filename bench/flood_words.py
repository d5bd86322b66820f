"""What hostile peers say: noise, broken SIP, probes of scanners, messages that are too large.

All of it comes from one seeded source of chance, so that a run can be repeated. Refuses to send.
"""

import itertools
import json
import random
from typing import Final

METHODS: Final = ("OPTIONS", "INVITE", "REGISTER", "SUBSCRIBE", "MESSAGE", "BYE", "CANCEL", "ACK")
USERS: Final = ("100", "1000", "admin", "alice", "test", "sip", "0" * 32)
HOST: Final = "127.0.0.1"
SDP: Final = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
KIB: Final = 1024


class Words:
    """An endless supply of them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._run = chance.getrandbits(32)
        self._numbers = itertools.count(1)

    def garbage(self) -> bytes:
        """A datagram that is no SIP, or SIP with a few bytes changed, cut or doubled."""
        if self._chance.random() < 0.3:
            return self._chance.randbytes(self._chance.randrange(1, 1500))
        data = bytearray(self.request(self._chance.choice(METHODS)))
        for _ in range(self._chance.randrange(1, 8)):
            data[self._chance.randrange(len(data))] = self._chance.randrange(256)
        start, end = sorted(self._chance.randrange(len(data)) for _ in range(2))
        return bytes(self._chance.choice([data, data[:end], data[:end] + data[start:]]))

    def probe(self, transport: str = "UDP") -> bytes:
        """What a scanner sends: a sound request for somebody who may be here."""
        method = self._chance.choice(METHODS[:3])
        return self.request(method, transport=transport)

    def stranger(self, transport: str = "UDP") -> bytes:
        """An INVITE or MESSAGE for a name of the form of ours, that costs a look-up."""
        user = f"{self._chance.getrandbits(128):032x}"
        return self.request(self._chance.choice(["INVITE", "MESSAGE"]), user, transport)

    def login(self, transport: str = "TCP") -> bytes:
        """A REGISTER of an app with credentials that were made up."""
        user = f"{self._chance.getrandbits(128):032x}"
        proof = f"{self._chance.getrandbits(128):032x}"
        authorization = (
            f'Authorization: Digest username="{user}", realm="sipis", nonce="{proof}", '
            f'uri="sip:sipis", response="{proof}", algorithm=MD5, cnonce="x", qop=auth, nc=00000001'
        )
        return self.request("REGISTER", user, transport, [authorization])

    def oversize(self, size: int, transport: str = "UDP") -> bytes:
        """A sound request of about so many bytes: one line, many lines or the body is too large."""
        filling = "x" * size
        shape = self._chance.randrange(3)
        if shape == 0:
            return self.request("MESSAGE", transport=transport, body=filling)
        lines = [f"X-Long: {filling}"] if shape == 1 else ["X: y"] * (size // 6)
        return self.request("OPTIONS", transport=transport, headers=lines)

    def half(self, transport: str = "TCP") -> bytes:
        """The beginning of a message that never ends, up to the most that may be held of one."""
        whole = self.request("MESSAGE", transport=transport, body="x" * (60 * KIB))
        return whole[: self._chance.randrange(20, len(whole))]

    def request(
        self,
        method: str,
        user: str = "",
        transport: str = "UDP",
        headers: list[str] | None = None,
        body: str = SDP,
    ) -> bytes:
        """One sound request of a stranger."""
        number = f"{self._run}-{next(self._numbers)}"
        uri = f"sip:{user or self._chance.choice(USERS)}@{HOST}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{transport} {HOST}:5060;branch=z9hG4bK{number};rport",
            "Max-Forwards: 70",
            f"From: <sip:100@{HOST}>;tag={number}",
            f"To: <{uri}>",
            f"Call-ID: {number}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:100@{HOST}:5060>",
            *(headers or []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def api_call(self) -> bytes:
        """An HTTP request that must be refused: unknown, unauthorized, too large or too deep."""
        return self._chance.choice([self._wrong_secret, self._wrong_key, self._deep, self._large])()

    def _wrong_secret(self) -> bytes:
        instance, secret = (f"{self._chance.getrandbits(128):032x}" for _ in range(2))
        return http("GET", f"/v1/instances/{instance}", secret)

    def _wrong_key(self) -> bytes:
        body = json.dumps({"app_id": "bench", "account": {"aor": "sip:a@example.com"}})
        return http("POST", "/v1/instances", "guess", body)

    def _deep(self) -> bytes:
        return http("POST", "/v1/instances", "guess", "[" * 10_000 + "]" * 10_000)

    def _large(self) -> bytes:
        return http("POST", "/v1/instances", "guess", json.dumps("x" * (64 * KIB)))


def http(method: str, path: str, bearer: str, body: str = "") -> bytes:
    """One HTTP request after which the server shall close."""
    lines = [
        f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {bearer}",
        "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
