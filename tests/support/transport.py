"""Endpoints on loopback with inboxes, and certificates of a test authority."""

import asyncio
import datetime
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sipis.sip.events import AckMissing, CancelReceived, RequestReceived, ResponseReceived
from sipis.sip.flow import Door
from sipis.sip.message import Request, response_to
from sipis.transport.endpoint import Endpoint
from sipis.transport.targets import Target

LOOPBACK = ("127.0.0.0/8", "::1/128")
PATIENCE = 5.0


def counting_entropy() -> Callable[[int], bytes]:
    """Bytes that differ each time and are the same in each run."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


@dataclass
class Inbox:
    """What a handler was told, and a way to wait for it."""

    events: list[object] = field(default_factory=list)
    _told: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: object) -> None:
        self.events.append(event)
        self._told.set()

    async def next(self) -> object:
        """The next event that was not taken yet."""
        async with asyncio.timeout(PATIENCE):
            while not self.events:
                self._told.clear()
                await self._told.wait()
        return self.events.pop(0)

    async def request(self) -> RequestReceived:
        event = await self.next()
        assert isinstance(event, RequestReceived), event
        return event

    async def response(self) -> ResponseReceived:
        event = await self.next()
        assert isinstance(event, ResponseReceived), event
        return event


@dataclass
class Party:
    """A started endpoint with the inboxes of its doors."""

    endpoint: Endpoint
    provider: Inbox = field(default_factory=Inbox)
    app: Inbox = field(default_factory=Inbox)

    @property
    def address(self) -> tuple[str, int]:
        """Where its first listener is reached."""
        return self.endpoint.listening[0].host, self.endpoint.listening[0].port

    def target(self, place: int = 0, tls_name: str | None = None) -> Target:
        """Where one of its listeners is reached."""
        bound = self.endpoint.listening[place]
        return Target(bound.transport, bound.host, bound.port, tls_name)

    def answer_all(self, status: int = 200, *, door: Door = Door.PROVIDER) -> None:
        """Answer every request of a door at once, granting what it asks for."""

        def answer(event: RequestReceived | CancelReceived | AckMissing) -> None:
            if isinstance(event, RequestReceived) and event.transaction is not None:
                response = response_to(event.request, status, to_tag="tag")
                if event.request.expires is not None:
                    response.headers.set("Expires", str(event.request.expires))
                self.endpoint.respond(event.transaction, response)

        self.endpoint.on_request[door] = answer


@asynccontextmanager
async def running(endpoint: Endpoint) -> AsyncIterator[Party]:
    party = Party(endpoint)
    endpoint.on_request[Door.PROVIDER] = party.provider
    endpoint.on_request[Door.APP] = party.app
    await endpoint.start()
    running = asyncio.create_task(endpoint.run())
    await asyncio.sleep(0)
    try:
        yield party
    finally:
        await endpoint.stop()
        await running


_numbers = itertools.count(1)


def build_request(method: str = "REGISTER", **headers: str) -> Request:
    """A request with a Call-ID of its own; `Min_Expires="60"` adds a header."""
    fields = [
        ("Max-Forwards", "70"),
        ("From", "<sip:bob@example.com>;tag=1"),
        ("To", "<sip:bob@example.com>"),
        ("Call-ID", f"call-{next(_numbers)}"),
        ("CSeq", f"1 {method}"),
        *((name.replace("_", "-"), value) for name, value in headers.items()),
    ]
    return Request.build(method, "sip:example.com", fields)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.directory / "ca.pem"

    def issue(self, *names: x509.GeneralName, common_name: str = "server") -> "Issued":
        """A certificate for these names; without names one that has only a CN."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(common_name, self.certificate.subject, key)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        stem = f"{certificate.serial_number:x}"
        issued = Issued(certificate, self.directory / f"{stem}.pem", self.directory / f"{stem}.key")
        issued.cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key_file.write_bytes(_pem(key))
        return issued


@dataclass(frozen=True)
class Issued:
    """A certificate with its files."""

    certificate: x509.Certificate
    cert_file: Path
    key_file: Path


def new_authority(directory: Path) -> Authority:
    """An authority whose certificate lies in the directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    certificate = (
        _builder("test authority", name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Authority(directory, key, certificate)
    made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return made


def _builder(
    common_name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=2))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(20)
"""The beginning of a ClientHello."""
REQUEST = b"GET / HTTP/1.1\r\nHost: sip.example\r\nUpgrade: webs"
HALF_MADE = [
    pytest.param("tls:127.0.0.1:0", b"", id="tls, nothing"),
    pytest.param("tls:127.0.0.1:0", HELLO, id="tls, half a hello"),
    pytest.param("ws:127.0.0.1:0", b"", id="ws, nothing"),
    pytest.param("ws:127.0.0.1:0", REQUEST, id="ws, half a header"),
    pytest.param("ws:127.0.0.1:0", REQUEST + b"ocket\r\n", id="ws, half a head"),
    pytest.param("wss:127.0.0.1:0", HELLO, id="wss, half a hello"),
]
"""Listeners, and what a stranger says there before falling silent."""


class Stranger:
    """A bare connection from an address of loopback that says something and waits."""

    def __init__(self, address: tuple[str, int], source: str, said: bytes = b"") -> None:
        self._socket = socket.create_connection(address, 10, (source, 0))
        self._socket.settimeout(0)
        self._socket.send(said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Go away."""
        self._socket.close()

    async def hears(self) -> bytes:
        """Wait for what is said next."""
        async with asyncio.timeout(10):
            return await asyncio.get_running_loop().sock_recv(self._socket, 4096)

    def has_been_closed(self) -> bool:
        """Whether the other side has hung up by now."""
        try:
            while self._socket.recv(4096):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            pass
        return True

    async def is_closed(self) -> bool:
        """Wait until the other side hangs up."""
        await until(self.has_been_closed)
        return True


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)
