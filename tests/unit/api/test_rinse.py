"""The rinse goes through the same loop that read the request, and never blocks."""

import asyncio
import ctypes
import sys

import uvloop

from sipis.api.rinse import ZEROS, Rinse


async def receive(secret: bytes) -> None:
    """Let the loop read a secret from a stream."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(secret)
        writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert len(await reader.read()) == len(secret)
        writer.close()


def still_in_the_loop(*, rinsed: bool) -> bool:
    """Whether the loop's own memory holds a secret that it read before."""
    secret = b"a secret in the receive buffer"

    async def main() -> bool:
        loop, rinse = asyncio.get_running_loop(), Rinse()
        await rinse.open()
        await receive(secret)
        if rinsed:
            rinse()
            for _ in range(10):
                await asyncio.sleep(0)
        held = ctypes.string_at(id(loop), sys.getsizeof(loop))
        rinse.close()
        return secret in held

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def test_what_the_loop_received_is_overwritten() -> None:
    assert still_in_the_loop(rinsed=False)
    assert not still_in_the_loop(rinsed=True)


async def test_a_rinse_that_is_not_read_yet_does_for_the_next_as_well() -> None:
    rinse = Rinse()
    rinse()
    await rinse.open()
    for _ in range(50):
        rinse()
    rinse.close()
    rinse()
    assert len(ZEROS) > 48 * 1024
