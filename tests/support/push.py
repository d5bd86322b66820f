"""Signers, notifications and a sender for tests of the push room."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sipis.clock import ManualClock
from sipis.model import Environment, PushEvent, PushService, PushTarget, TargetKind
from sipis.push.outcome import PushOutcome
from sipis.push.provider import ApnsAccount, FcmAccount, Notification, PushProvider, TargetedPush
from sipis.world.operator_keys import AppleKey, GoogleKey


@dataclass(frozen=True)
class EcSigner:
    key_id: str
    private: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


@dataclass(frozen=True)
class RsaSigner:
    key_id: str
    private: rsa.RSAPrivateKey

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


def ec_signer(key: AppleKey) -> EcSigner:
    return EcSigner(key.key_id, key.private)


def rsa_signer(key: GoogleKey) -> RsaSigner:
    return RsaSigner(key.key_id, key.private)


def notification(
    event: PushEvent = PushEvent.CALL, *, app: str = "app", deadline: float = 1e9
) -> Notification:
    return Notification(
        instance="0" * 32,
        app=app,
        event=event,
        payload={"v": 1, "event": event.value, "instance": "0" * 32},
        deadline=deadline,
        call=str(uuid.UUID(int=7)) if event is PushEvent.CALL else None,
    )


@dataclass
class Sender:
    """Sends pushes through a provider as the dispatcher would."""

    provider: PushProvider
    clock: ManualClock
    accounts: dict[str, ApnsAccount]
    ids: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    async def send(
        self,
        token: str = "token",
        *,
        event: PushEvent = PushEvent.CALL,
        within: float = 5.0,
        push_id: str | None = None,
        app: str = "app",
        environment: Environment = Environment.PRODUCTION,
        note: Notification | None = None,
    ) -> PushOutcome:
        kind = TargetKind.VOIP if event is PushEvent.CALL else TargetKind.ALERT
        push = TargetedPush(
            note or notification(event, app=app),
            PushTarget(PushService.APNS, kind, token),
            environment,
            push_id or str(uuid.UUID(int=next(self.ids))),
            self.clock.monotonic() + within,
        )
        return await self.provider.send(push)


@dataclass
class FcmSender:
    """The same for FCM."""

    provider: PushProvider
    clock: ManualClock
    accounts: dict[str, FcmAccount]

    async def send(
        self,
        token: str = "token",
        *,
        event: PushEvent = PushEvent.CALL,
        kind: TargetKind = TargetKind.TOKEN,
        within: float = 5.0,
        app: str = "app",
        note: Notification | None = None,
    ) -> PushOutcome:
        push = TargetedPush(
            note or notification(event, app=app),
            PushTarget(PushService.FCM, kind, token),
            Environment.PRODUCTION,
            str(uuid.UUID(int=1)),
            self.clock.monotonic() + within,
        )
        return await self.provider.send(push)


async def settle(turns: int = 200) -> None:
    """Let the loop run until what could happen has happened."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def eventually(happened: Callable[[], bool]) -> None:
    """Let the loop run until it has happened; the caller bounds the wait."""
    while not happened():  # noqa: ASYNC110 - the worlds under test are not ours to add events to
        await asyncio.sleep(0)


async def travel(clock: ManualClock, seconds: float) -> None:
    """Move time in steps small enough for the network to answer PINGs."""
    for _ in range(int(seconds // 2)):
        await clock.advance(2)
        await settle(10)
