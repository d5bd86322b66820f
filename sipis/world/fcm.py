"""FCM of the world: the HTTP v1 API and Google's token server, on loopback.

Refuses what Google refuses: a message without target, a value that is no string, a stale access
token. The bad days are those of behaviour.py; the token server has its own.
"""

import asyncio
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

import jwt
from aiohttp import web

from sipis.clock import Clock
from sipis.world.behaviour import (
    BAD_GATEWAY,
    UNAVAILABLE,
    Behaviour,
    Reply,
    Script,
    Silence,
)
from sipis.world.chaos import Chaos
from sipis.world.inbox import Inbox
from sipis.world.operator_keys import GoogleKey
from sipis.world.tls import ThrowawayCa

SCOPES: Final = frozenset(
    f"https://www.googleapis.com/auth/{name}" for name in ("firebase.messaging", "cloud-platform")
)
GOOGLES_AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""Google's own libraries name it, wherever they were told to ask."""
LONGEST: Final = 4096
RESERVED: Final = ("google", "gcm")
FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
STATUS_OF: Final = {
    "UNREGISTERED": "NOT_FOUND",
    "SENDER_ID_MISMATCH": "PERMISSION_DENIED",
    "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
    "THIRD_PARTY_AUTH_ERROR": "UNAUTHENTICATED",
    "INVALID_ARGUMENT": "INVALID_ARGUMENT",
}
"""The words of FcmError and the status that comes with each."""


class FcmMischief(StrEnum):
    """What the dice may do to a push."""

    SILENCE = "silence"
    BAD_GATEWAY = "bad-gateway"
    UNAVAILABLE = "unavailable"
    SLOW = "slow"


MISCHIEF: Final[dict[FcmMischief, Behaviour]] = {
    FcmMischief.SILENCE: Silence(),
    FcmMischief.BAD_GATEWAY: BAD_GATEWAY,
    FcmMischief.UNAVAILABLE: UNAVAILABLE,
    FcmMischief.SLOW: Reply(delay=0.5),
}


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message as it arrived, before it was judged."""

    target: str
    message: dict[str, object] = field(repr=False)
    access_token: str = field(repr=False)

    @property
    def data(self) -> dict[str, str]:
        """The data of the message."""
        return cast(dict[str, str], self.message.get("data", {}))

    @property
    def android(self) -> dict[str, object]:
        """The Android part of the message."""
        return cast(dict[str, object], self.message.get("android", {}))


class Fcm:
    """The server; `async with` starts and stops it on an ephemeral port of loopback."""

    def __init__(
        self, ca: ThrowawayCa, *, clock: Clock, chaos: Chaos[FcmMischief] | None = None
    ) -> None:
        self._ca = ca
        self._clock = clock
        self._chaos = chaos
        self._runner: web.AppRunner | None = None
        self._keys: dict[str, GoogleKey] = {}
        self._tokens: dict[str, float] = {}
        self._gate = asyncio.Event()
        self._gate.set()
        self._closing = asyncio.Event()
        self.script = Script()
        self.oauth = Script()
        """What happens to token requests; the token is the service account's address."""
        self.pushes: Inbox[ReceivedMessage] = Inbox()
        self.assertions: Inbox[str] = Inbox()
        self.recording = True
        self.token_life = 3600
        self.port = 0

    async def __aenter__(self) -> "Fcm":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; the real port is in `port`."""
        app = web.Application()
        app.router.add_post("/v1/projects/{project}/messages:send", self._send)
        app.router.add_post("/token", self._grant)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._ca.server_context())
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Let go of everybody and listen no more."""
        self._closing.set()
        self._gate.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """What `base_url` of an app's settings has to be."""
        return f"https://localhost:{self.port}"

    def trust(self, key: GoogleKey) -> GoogleKey:
        """Take assertions of that service account from now on."""
        self._keys[key.client_email] = key
        return key

    def new_key(self, project_id: str = "world-project") -> GoogleKey:
        """Return a service account that this server trusts from now on."""
        return self.trust(GoogleKey(f"{self.base_url}/token", project_id))

    def hold(self) -> None:
        """Keep all answers back until release()."""
        self._gate.clear()

    def release(self) -> None:
        """Let the answers go."""
        self._gate.set()

    def revoke_tokens(self) -> None:
        """Refuse every access token handed out so far."""
        self._tokens.clear()

    async def _send(self, request: web.Request) -> web.Response:
        body = await request.read()
        message = _message(body)
        target = str(message.get("fid") or message.get("token") or "")
        access = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.recording:
            self.pushes.put(ReceivedMessage(target, message, access))
        act = self.script.next(target) or self._rolled() or self._judged(request, message, access)
        return await self._play(request, act, _success(request))

    async def _grant(self, request: web.Request) -> web.Response:
        form = await request.post()
        assertion = str(form.get("assertion", ""))
        self.assertions.put(assertion)
        issuer = _issuer(assertion)
        act = self.oauth.next(issuer) or self._judged_assertion(issuer, assertion)
        token = f"ya29.{len(self.assertions.items)}"
        if act == Reply():
            self._tokens[token] = self._clock.monotonic() + self.token_life
        values = {"access_token": token, "expires_in": self.token_life, "token_type": "Bearer"}
        return await self._play(request, act, json.dumps(values).encode())

    def _rolled(self) -> Behaviour | None:
        mischief = self._chaos.roll() if self._chaos is not None else None
        return MISCHIEF[mischief] if mischief is not None else None

    def _judged(self, request: web.Request, message: dict[str, object], access: str) -> Reply:
        if self._tokens.get(access, 0.0) <= self._clock.monotonic():
            return Reply(401, body=error_body(401, "UNAUTHENTICATED"))
        if request.match_info["project"] not in {key.project_id for key in self._keys.values()}:
            return Reply(403, body=error_body(403, "PERMISSION_DENIED"))
        wrong = _wrong_field(message)
        return (
            Reply(400, body=error_body(400, "INVALID_ARGUMENT", field=wrong)) if wrong else Reply()
        )

    def _judged_assertion(self, issuer: str, assertion: str) -> Reply:
        key = self._keys.get(issuer)
        if key is None or not self._is_good(assertion, key):
            return Reply(400, body=b'{"error":"invalid_grant"}')
        return Reply()

    def _is_good(self, assertion: str, key: GoogleKey) -> bool:
        try:
            claims = jwt.decode(
                assertion,
                key.public_pem,
                algorithms=["RS256"],
                audience=[key.token_uri, GOOGLES_AUDIENCE],
                options={"verify_iat": False, "verify_exp": False},
            )
        except jwt.PyJWTError:
            return False
        now = self._clock.wall()
        scoped = not SCOPES.isdisjoint(claims["scope"].split())
        return bool(scoped and claims["iat"] <= now + 60 < claims["exp"] + 60)

    async def _play(self, request: web.Request, act: Behaviour, success: bytes) -> web.Response:
        if not isinstance(act, Reply):
            await self._drop(request, silent=isinstance(act, Silence))
            return web.Response()
        if act.delay > 0:
            await self._clock.sleep(act.delay)
        await self._gate.wait()
        body = act.body if act.body is not None else _body(act, success)
        return web.Response(status=act.status, body=body, headers=dict(act.headers))

    async def _drop(self, request: web.Request, *, silent: bool) -> None:
        if silent:
            await self._closing.wait()
        if request.transport is not None:
            request.transport.abort()


def error_body(
    status: int, word: str, *, fcm: str = "", field: str = "", message: str = "No."
) -> bytes:
    """Return an error as Google writes it; `fcm` is the errorCode of an FcmError detail."""
    details: list[dict[str, object]] = []
    if fcm:
        details.append({"@type": FCM_ERROR, "errorCode": fcm})
    if field:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": field}]})
    error = {"code": status, "message": message, "status": word, "details": details}
    return json.dumps({"error": error}).encode()


def _body(reply: Reply, success: bytes) -> bytes:
    if reply.status == 200:
        return success
    status = STATUS_OF.get(reply.reason, reply.reason)
    return error_body(reply.status, status, fcm=reply.reason if reply.reason in STATUS_OF else "")


def _success(request: web.Request) -> bytes:
    name = f"projects/{request.match_info['project']}/messages/0:1"
    return json.dumps({"name": name}).encode()


def _message(body: bytes) -> dict[str, object]:
    try:
        values = json.loads(body)
    except ValueError:
        return {}
    message = values.get("message") if isinstance(values, dict) else None
    return message if isinstance(message, dict) else {}


def _wrong_field(message: dict[str, object]) -> str:
    """Return the name of the first field that breaks FCM's rules, or ""."""
    if bool(message.get("token")) == bool(message.get("fid")):
        return "message.token"
    data = message.get("data", {})
    if not isinstance(data, dict) or not all(isinstance(each, str) for each in data.values()):
        return "message.data"
    if any(key == "from" or key.startswith(RESERVED) for key in data):
        return "message.data"
    size = sum(len(key) + len(value.encode()) for key, value in data.items())
    return "message.data" if size > LONGEST else ""


def _issuer(assertion: str) -> str:
    try:
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.PyJWTError:
        return ""
    return str(claims.get("iss", ""))
