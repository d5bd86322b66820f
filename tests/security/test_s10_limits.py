"""S10: the limits hold at the boundary: so much is taken, one more is refused."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from sipis.sip import limits
from sipis.sip.flow import Door, Transport
from sipis.transport.flows import Limits
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.raw import door_of, request

pytestmark = pytest.mark.timeout(30)


def options(via: str, size: int = 0, extra: int = 0, line: int = 0) -> bytes:
    """OPTIONS of that many bytes, with so many more headers, or one line of that length."""
    headers = [(f"X-{n}", "x") for n in range(extra)]
    if line:
        headers.append(("X-Line", "x" * (line - len("X-Line: "))))
    empty = request("OPTIONS", "sip:alice@provider.example", via=via, headers=headers)
    if not size:
        return empty
    spare = size - len(empty)
    body = "x" * (spare - len(str(spare)) + 1)
    data = request("OPTIONS", "sip:alice@provider.example", via=via, headers=headers, body=body)
    while len(data) > size:
        body = body[:-1]
        data = request("OPTIONS", "sip:alice@provider.example", via=via, headers=headers, body=body)
    return data


HEADERS = options("TCP 127.0.0.1:9").count(b"\r\n") - 2
SHAPES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "a message on a stream": (
        lambda n: options("TCP 127.0.0.1:9", size=n), limits.MAX_STREAM_MESSAGE),
    "the number of headers": (
        lambda n: options("TCP 127.0.0.1:9", extra=n - HEADERS), limits.MAX_HEADERS),
    "a header line": (lambda n: options("TCP 127.0.0.1:9", line=n), limits.MAX_HEADER_LINE),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_stream_takes_what_is_just_allowed_and_refuses_one_more(
    town: Town, shape: str
) -> None:
    await town.asleep(temper=Temper.IGNORE)
    assert town.server is not None
    host, port = door_of(town.server, Door.PROVIDER, Transport.TCP)
    make, most = SHAPES[shape]
    statuses = []
    for size in (most, most + 1):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(make(size))
        line = await reader.readline()
        statuses.append(line.split(b" ")[1] if line else b"closed")
        writer.close()
    assert statuses[0] == b"200"
    assert statuses[1] in {b"400", b"413", b"513", b"closed"}


async def test_a_datagram_of_sixteen_kibibytes_is_taken_and_not_one_more(town: Town) -> None:
    await town.asleep(temper=Temper.IGNORE)
    [binding] = town.provider.registrar.bindings("alice")
    statuses = []
    for size in (limits.MAX_DATAGRAM, limits.MAX_DATAGRAM + 1):
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        class Ear(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: object, heard=answers) -> None:  # type: ignore[no-untyped-def]
                heard.put_nowait(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Ear, local_addr=("127.0.0.1", 0), remote_addr=binding.flow.remote
        )
        transport.sendto(options("UDP 127.0.0.1:9", size=size))
        statuses.append((await answers.get()).split(b" ")[1])
        transport.close()
    assert statuses == [b"200", b"513"]


@pytest.mark.parametrize("door", list(Door))
async def test_one_source_may_open_so_many_connections_and_no_more(town: Town, door: Door) -> None:
    assert town.server is not None
    host, port = door_of(town.server, door, Transport.TCP)
    most = Limits().per_source
    opened = [
        await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
        for _ in range(most + 1)
    ]
    reader, _ = opened[-1]
    with contextlib.suppress(ConnectionError):
        assert await reader.read(1) == b""
    first, writer = opened[0]
    writer.write(b"\r\n\r\n")
    assert await first.readexactly(2) == b"\r\n"
    for _, writer in opened:
        writer.close()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"[" * 17 + b"]" * 17, 400),
        (b'{"a":' * 17 + b"1" + b"}" * 17, 400),
        (b'{"a":' * 20_000, (400, 413)),
        (b'{"x": "' + b"y" * 32 * 1024 + b'"}', 413),
        (b'{"n": ' + b"9" * 5000 + b"}", (400, 422)),
    ],
)
async def test_json_that_is_too_deep_or_too_large_is_refused(
    town: Town, text: bytes, status: int | tuple[int, ...]
) -> None:
    phone = await town.phone()
    assert phone._http is not None
    headers = {"Authorization": f"Bearer {phone._app_key}", "Content-Type": "application/json"}
    async with phone._http.post(phone._api + "/v1/instances", data=text, headers=headers) as answer:
        assert answer.status in (status if isinstance(status, tuple) else (status,))
