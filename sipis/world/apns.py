"""APNs of the world: HTTP/2 over TLS, Apple's rules, a record of what arrived, and every bad day.

Refuses to be gentle unless told: `script` breaks single pushes, the attributes break the server,
and a Chaos breaks at random from a printed seed. Answers can be held back and let go, so that a
test decides the order of events without waiting for time to pass.
"""

import asyncio
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sipis.clock import Alarm, Clock
from sipis.world.apns_rules import PATH, TokenCheck, wrong_request
from sipis.world.behaviour import (
    BAD_GATEWAY,
    REFUSED_STREAM,
    UNAVAILABLE,
    Behaviour,
    Farewell,
    Reply,
    Reset,
    Script,
    Silence,
)
from sipis.world.chaos import Chaos
from sipis.world.h2server import ALL_STREAMS, Fields, Request, ServerConnection
from sipis.world.inbox import Inbox
from sipis.world.operator_keys import AppleKey
from sipis.world.tls import ThrowawayCa


class ApnsMischief(StrEnum):
    """What the dice may do to a push."""

    SILENCE = "silence"
    REFUSE = "refuse"
    RESET = "reset"
    GOAWAY = "goaway"
    HANG_UP = "hang-up"
    BAD_GATEWAY = "bad-gateway"
    UNAVAILABLE = "unavailable"
    SLOW = "slow"


MISCHIEF: Final[dict[ApnsMischief, Behaviour]] = {
    ApnsMischief.SILENCE: Silence(),
    ApnsMischief.REFUSE: Reset(REFUSED_STREAM),
    ApnsMischief.RESET: Reset(2),
    ApnsMischief.GOAWAY: Farewell(),
    ApnsMischief.HANG_UP: Farewell(graceful=False),
    ApnsMischief.BAD_GATEWAY: BAD_GATEWAY,
    ApnsMischief.UNAVAILABLE: UNAVAILABLE,
    ApnsMischief.SLOW: Reply(delay=0.5),
}


@dataclass(frozen=True, slots=True)
class ReceivedPush:
    """A request as it arrived, before it was judged."""

    token: str
    headers: Fields = field(repr=False)
    body: bytes = field(repr=False)
    connection: int

    @property
    def payload(self) -> dict[str, object]:
        """The JSON body."""
        payload: dict[str, object] = json.loads(self.body)
        return payload

    @property
    def push_id(self) -> str:
        """The apns-id."""
        return self.headers.get("apns-id", "")


class Apns:
    """The server; `async with` starts and stops it on an ephemeral port of loopback."""

    def __init__(
        self, ca: ThrowawayCa, *, clock: Clock, chaos: Chaos[ApnsMischief] | None = None
    ) -> None:
        self._ca = ca
        self._clock = clock
        self._chaos = chaos
        self._server: asyncio.Server | None = None
        self._held: list[tuple[Request, Reply]] | None = None
        self._alarms: set[Alarm] = set()
        self.connections: list[ServerConnection] = []
        self.opened = 0
        self.tokens = TokenCheck()
        self.script = Script()
        self.pushes: Inbox[ReceivedPush] = Inbox()
        self.recording = True
        self.max_streams = 1000
        self.initial_window = 65_535
        self.streams_after_first: int | None = None
        """Announced once a token was found good: Apple begins with 1 and goes on with 1000."""
        self.mute = False
        self.opens_windows = True
        self.port = 0

    async def __aenter__(self) -> "Apns":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; the real port is in `port`."""
        self._server = await asyncio.get_running_loop().create_server(
            self._accept, host, port, ssl=self._ca.server_context(alpn=("h2",))
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        for alarm in self._alarms:
            alarm.cancel()
        if self._server is not None:
            self._server.close()
        self.hang_up()

    def new_key(self, team_id: str = "WORLDTEAM1", key_id: str = "WORLDKEY01") -> AppleKey:
        """Return a token-signing key that this server trusts from now on."""
        key = AppleKey(team_id, key_id)
        self.tokens.trust(key)
        return key

    # -- bad days --------------------------------------------------------------------------------

    def hold(self) -> None:
        """Keep all answers back until release()."""
        self._held = []

    def release(self) -> None:
        """Let the answers go, in the order of the pushes."""
        held, self._held = self._held or [], None
        for request, reply in held:
            self._reply(request, reply)

    def hang_up(self) -> None:
        """Drop all connections without a word."""
        for connection in list(self.connections):
            connection.abort()

    def goaway(self, last: int = ALL_STREAMS, code: int = 0) -> None:
        """Say GOAWAY on all connections and go on answering what is open."""
        for connection in self.connections:
            connection.goaway(last, code, b'{"reason":"Shutdown"}')

    def limit_streams(self, most: int) -> None:
        """Announce another MAX_CONCURRENT_STREAMS to everybody, and to those who come."""
        self.max_streams = most
        for connection in self.connections:
            connection.limit_streams(most)

    # -- as the connections' owner ---------------------------------------------------------------

    def joined(self, connection: ServerConnection) -> None:
        """A client has connected."""
        self.connections.append(connection)

    def left(self, connection: ServerConnection) -> None:
        """It is gone."""
        if connection in self.connections:
            self.connections.remove(connection)

    def requested(self, request: Request) -> None:
        """Record a push and do to it what the script, the dice or the rules say."""
        body = bytes(request.body)
        token = request.headers.get(":path", "").removeprefix(PATH)
        if self.recording:
            number = request.connection.number
            self.pushes.put(ReceivedPush(token, request.headers, body, number))
        act = self.script.next(token) or self._rolled()
        self._play(request, act or self._judged(request.headers, body))
        self._welcome(request.connection)

    def _rolled(self) -> Behaviour | None:
        mischief = self._chaos.roll() if self._chaos is not None else None
        return MISCHIEF[mischief] if mischief is not None else None

    def _judged(self, headers: Fields, body: bytes) -> Reply:
        refusal = wrong_request(headers, body) or self.tokens.refused(headers, self._clock.wall())
        return refusal or Reply()

    def _welcome(self, connection: ServerConnection) -> None:
        if self.streams_after_first is not None and connection.welcome:
            connection.welcome = False
            connection.limit_streams(self.streams_after_first)

    def _play(self, request: Request, act: Behaviour) -> None:
        if isinstance(act, Reset):
            request.connection.reset(request.stream, act.code)
        elif isinstance(act, Farewell):
            self._say_farewell(request, act)
        elif isinstance(act, Reply):
            self._reply_in_time(request, act)

    def _reply_in_time(self, request: Request, reply: Reply) -> None:
        if self._held is not None:
            self._held.append((request, reply))
        elif reply.delay > 0:
            when = self._clock.monotonic() + reply.delay
            self._alarms.add(self._clock.call_at(when, lambda: self._reply(request, reply)))
        else:
            self._reply(request, reply)

    def _say_farewell(self, request: Request, farewell: Farewell) -> None:
        last = request.stream if farewell.processed else request.stream - 1
        debug = json.dumps({"reason": farewell.reason}).encode()
        request.connection.goaway(last, farewell.code, debug)
        if not farewell.graceful:
            request.connection.close()
        elif farewell.processed:
            self._reply(request, Reply())

    def _reply(self, request: Request, reply: Reply) -> None:
        headers = [(":status", str(reply.status)), *reply.headers]
        if reply.with_id:
            headers.append(("apns-id", request.headers.get("apns-id", "")))
        request.connection.answer(request.stream, headers, _pieces(reply))

    def _accept(self) -> ServerConnection:
        self.opened += 1
        return ServerConnection(self, self.opened)


def _pieces(reply: Reply) -> list[bytes]:
    body = _body(reply)
    size = reply.chunk or max(len(body), 1)
    return [body[start : start + size] for start in range(0, len(body), size)]


def _body(reply: Reply) -> bytes:
    if reply.body is not None:
        return reply.body
    if reply.status == 200:
        return b""
    problem: dict[str, object] = {"reason": reply.reason}
    if reply.timestamp is not None:
        problem["timestamp"] = reply.timestamp
    return json.dumps(problem).encode()
