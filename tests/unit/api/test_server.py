"""The public listener takes up a renewed certificate, and keeps the one before for a broken one."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from sipis.api.server import HttpListener
from sipis.config import ApiSettings
from sipis.errors import ConfigError
from sipis.world.tls import ThrowawayCa


class Certificates:
    """The files of a listener, and who vouches for them."""

    def __init__(self, folder: Path) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.renew()

    def renew(self) -> None:
        self.ca = ThrowawayCa()
        for file, pem in zip((self.cert, self.key), self.ca.issue("localhost"), strict=True):
            file.write_bytes(pem)

    async def are_served_by(self, listener: HttpListener) -> bool:
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1",
                listener.port,
                ssl=self.ca.client_context(),
                server_hostname="localhost",
            )
        except ssl.SSLCertVerificationError:
            return False
        writer.transport.abort()
        return True


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
async def listener(files: Certificates) -> AsyncIterator[HttpListener]:
    settings = ApiSettings(port=0, cert_file=files.cert, key_file=files.key)
    listener = HttpListener(web.Application(), settings, "api")
    await listener.start()
    yield listener
    await listener.stop()


async def test_a_renewed_certificate_is_served_after_a_reload(
    files: Certificates, listener: HttpListener
) -> None:
    assert await files.are_served_by(listener)
    files.renew()
    assert not await files.are_served_by(listener)
    listener.reload()
    assert await files.are_served_by(listener)


async def test_a_broken_certificate_leaves_the_one_before(
    files: Certificates, listener: HttpListener
) -> None:
    files.cert.write_text("nonsense")
    with pytest.raises(ConfigError, match="cert_file"):
        listener.reload()
    assert await files.are_served_by(listener)


async def test_a_start_that_is_given_up_at_any_moment_leaves_no_descriptor_open() -> None:
    await started_for(turns=200)  # whatever the loop opens once is open now
    before = await descriptors()
    for turns in range(0, 60, 3):
        await started_for(turns)
        assert await descriptors() == before, turns


async def started_for(turns: int) -> None:
    listener = HttpListener(web.Application(), ApiSettings(port=0), "api")
    start = asyncio.ensure_future(listener.start())
    for _ in range(turns):
        await asyncio.sleep(0)
    if start.done():
        await listener.stop()
        return
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start


async def descriptors() -> int:
    """How many are open once the loop has closed what it was told to."""
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
