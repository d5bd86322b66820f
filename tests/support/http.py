"""HTTP listeners that run for as long as a test needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sipis.api.server import HttpListener


@asynccontextmanager
async def running(listener: HttpListener) -> AsyncIterator[HttpListener]:
    """Start a listener, and stop it in the end."""
    async with asyncio.TaskGroup() as group:
        await listener.start()
        group.create_task(listener.run())
        try:
            yield listener
        finally:
            await listener.stop()
