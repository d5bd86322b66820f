"""What came in while the phone slept, over HTTP: calls and messages.

Refuses to keep what was acknowledged: it is erased before the answer leaves.
"""

import base64
from collections.abc import Awaitable, Callable

from aiohttp import web

from sipis.api import problems, schema
from sipis.api.edge import answer
from sipis.api.instances import Gate
from sipis.api.problems import Problem
from sipis.api.views import time_of
from sipis.lifecycle.service import Lifecycle
from sipis.relay.ledger import CallView
from sipis.relay.letters import Letter
from sipis.relay.service import Relay


class InboxHandlers:
    """The handlers of calls and messages, by operation name."""

    def __init__(self, lifecycle: Lifecycle, relay: Relay) -> None:
        self._gate = Gate(lifecycle)
        self._relay = relay

    async def calls(self, request: web.Request) -> web.Response:
        """GET …/calls."""
        row = await self._gate.row(request)
        views = await self._relay.calls(row.n)
        return answer(schema.CallsAnswer(calls=tuple(call_answer(view) for view in views)))

    async def call(self, request: web.Request) -> web.Response:
        """GET …/calls/{call}: the first question of a woken app."""
        row = await self._gate.row(request)
        return _shown(await self._relay.call(row.n, request.match_info["call"]))

    async def accept(self, request: web.Request) -> web.Response:
        """POST …/calls/{call}/accept."""
        row = await self._gate.row(request)
        return _shown(await self._relay.accept(row.n, request.match_info["call"]))

    async def decline(self, request: web.Request) -> web.Response:
        """POST …/calls/{call}/decline."""
        row = await self._gate.row(request)
        return _shown(await self._relay.decline(row.n, request.match_info["call"]))

    async def messages(self, request: web.Request) -> web.Response:
        """GET …/messages."""
        row = await self._gate.row(request)
        letters = await self._relay.messages(row.n)
        return answer(schema.MessagesAnswer(messages=tuple(message_answer(it) for it in letters)))

    async def acknowledge(self, request: web.Request) -> web.Response:
        """DELETE …/messages/{mid}."""
        row = await self._gate.row(request)
        if not await self._relay.acknowledge(row.n, request.match_info["mid"]):
            raise Problem(problems.NOT_FOUND)
        return web.Response(status=204)

    def handlers(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """The handlers under the names of their operations."""
        names = ("calls", "call", "accept", "decline", "messages", "acknowledge")
        return {name: getattr(self, name) for name in names}


def call_answer(view: CallView) -> schema.CallAnswer:
    """A call as its app may see it."""
    return schema.CallAnswer.model_validate(
        {
            "call": view.call,
            "state": view.state,
            "started_at": time_of(view.started_at),
            "from": view.caller,
        }
    )


def message_answer(letter: Letter) -> schema.MessageAnswer:
    """A message as its app gets it."""
    return schema.MessageAnswer.model_validate(
        {
            "id": letter.mid,
            "received_at": time_of(letter.received_at),
            "from": letter.sender,
            "content_type": letter.content_type,
            "body": base64.b64encode(letter.body).decode(),
        }
    )


def _shown(view: CallView | None) -> web.Response:
    if view is None:
        raise Problem(problems.NOT_FOUND)
    return answer(call_answer(view))
