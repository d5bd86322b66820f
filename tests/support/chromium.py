"""Chromium without a window, driven through its DevTools protocol."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from tests.support.beside import Beside
from tests.support.processes import PATIENCE, Program, require, wait_until

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DRIVEN = (
    "--remote-debugging-port=0", "--enable-logging=stderr", "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
)  # fmt: skip
"""Take orders; show what pages log; treat pages that nobody looks at like any other."""
LOADED = """new Promise(done => {
    if (document.readyState === "complete") done(); else addEventListener("load", () => done());
})"""

Said = Mapping[str, object]


class Chromium(Beside):
    """A browser; each of its pages has storage and permissions of its own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        super().__init__()
        profile = folder / "profile"
        self._door = profile / "DevToolsActivePort"
        self._number = 0
        command = [require("chromium"), *FLAGS, *DRIVEN, *flags, f"--user-data-dir={profile}"]
        self.program = Program(command, folder)

    async def open(self, stack: AsyncExitStack) -> None:
        stack.callback(self.program.stop)
        port, path = wait_until(self._where, "Chromium to start", PATIENCE - 1)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        connecting = session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0)
        self._orders = await stack.enter_async_context(connecting)

    def page(self, url: str) -> "Page":
        """Open a page in a context of its own."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        given = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        return Page(self, str(given["sessionId"]), url)

    def ask(self, method: str, session: str = "", **parameters: object) -> Said:
        """Give an order, to a page's session or to the browser, and wait for what comes of it."""
        order = {"method": method, "params": parameters, "sessionId": session}
        asking = self._ask({name: value for name, value in order.items() if value != ""})
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result()

    async def _ask(self, order: Said) -> Said:
        self._number += 1
        await self._orders.send_json({"id": self._number, **order})
        try:
            async with asyncio.timeout(PATIENCE):
                while (answer := await self._orders.receive_json()).get("id") != self._number:
                    pass
        except TimeoutError:
            answer = {"error": "silence"}
        assert "result" in answer, f"{order} → {answer}:\n{self.program.output()[-6000:]}"
        return dict(answer["result"])

    def _where(self) -> list[str]:
        """Port and path at which the browser takes orders, once it has written them down."""
        if not self.program.running:
            raise AssertionError(f"Chromium ended:\n{self.program.output()[-3000:]}")
        words = self._door.read_text().split() if self._door.exists() else []
        return words if len(words) == 2 else []


class Page:
    """One page."""

    def __init__(self, browser: Chromium, session: str, url: str) -> None:
        self._browser = browser
        self._session = session
        self._browser.ask("Page.navigate", session, url=url)
        self.evaluate(LOADED)

    def call(self, function: str, *arguments: object) -> object:
        """What a function of the page returns, once its promise is kept."""
        return self.evaluate(f"{function}({', '.join(json.dumps(it) for it in arguments)})")

    def evaluate(self, expression: str) -> object:
        """What an expression is worth in the page."""
        said = self._browser.ask(
            "Runtime.evaluate", self._session,
            expression=expression, awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        result = said["result"]
        assert isinstance(result, Mapping)
        return result.get("value")
