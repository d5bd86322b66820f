"""Many sleeping phones at once, put into a server's folder while the server is down.

They go through the vault and the store like any other, only a thousand per commit. Refuses to run
beside a server: the vault has one owner.
"""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sipis.clock import SystemClock
from sipis.config import KeysSettings
from sipis.lifecycle.bearer import hash_of
from sipis.model import (
    Account,
    Environment,
    InstanceId,
    InstanceState,
    Mode,
    PushService,
    PushTarget,
    TargetKind,
)
from sipis.registrant.bindings import place_of
from sipis.relay.names import aor_name, target_name
from sipis.secret import Secret
from sipis.sip.uri import parse_uri
from sipis.store import instances, schedule
from sipis.store.instances import NewInstance
from sipis.store.runner import Runner
from sipis.store.schedule import Binding, Settlement
from sipis.store.targets import NewTarget
from sipis.vault import (
    Credential,
    Ha1Credential,
    PasswordCredential,
    SealedInstance,
    Vault,
    new_relay_login,
)
from sipis.vault.records import digests

BATCH = 1000
DAY = 86_400.0
APP = "bench"
SECRET = "the-bearer-secret-of-every-phone"


@dataclass(frozen=True)
class Phone:
    """A phone that is going to sleep; `expires_at` is in Unix seconds, None for the default TTL.

    One that has registered before (`proven`) has HA1s for its domain in place of the password.
    """

    user: str
    domain: str
    password: str
    registrar: str | None = None
    token: str = ""
    expires_at: float | None = None
    proven: bool = False

    @property
    def account(self) -> Account:
        """Its SIP account."""
        return Account(f"sip:{self.user}@{self.domain}", registrar=self.registrar)

    @property
    def credential(self) -> Credential:
        """What proves it to its registrar."""
        if self.proven:
            return Ha1Credential(digests(self.user, self.domain, self.password))
        return PasswordCredential(Secret(self.password))

    @property
    def target(self) -> PushTarget:
        """Its address at FCM, or at APNs when it has no token."""
        if self.token:
            return PushTarget(PushService.FCM, TargetKind.TOKEN, self.token)
        token = self.user.encode().hex().rjust(64, "0")
        return PushTarget(PushService.APNS, TargetKind.VOIP, token, Environment.PRODUCTION)


def put_to_sleep(directory: Path, phones: Sequence[Phone], *, bound: float = 0.0) -> None:
    """Write the phones down, due at once; with `bound` as registered for so many seconds more."""
    asyncio.run(_put_to_sleep(directory, phones, bound))


async def _put_to_sleep(directory: Path, phones: Sequence[Phone], bound: float) -> None:
    clock = SystemClock()
    store = await Runner.open(directory, clock)
    vault = Vault.open(KeysSettings(), directory, environment={})
    for first in range(0, len(phones), BATCH):
        some = phones[first : first + BATCH]
        rows = await asyncio.gather(*(_admit(vault, phone, clock.wall()) for phone in some))
        await store.write(_insert, rows)
        if bound:
            await store.write(_register, clock.wall(), bound)
    await store.close()
    vault.close()


async def _admit(vault: Vault, phone: Phone, now: float) -> NewInstance:
    instance = InstanceId(os.urandom(16).hex())
    sealed = await vault.admit(
        id=instance,
        app=APP,
        account=phone.account,
        credential=phone.credential,
        targets=(phone.target,),
        push_key=None,
        relay=new_relay_login("sipis", os.urandom),
    )
    return _row(vault, phone, instance, sealed, now)


def _row(
    vault: Vault, phone: Phone, instance: InstanceId, sealed: SealedInstance, now: float
) -> NewInstance:
    target, expires_at = phone.target, phone.expires_at or now + 5 * DAY
    return NewInstance(
        id=instance,
        app=APP,
        secret_hash=hash_of(SECRET),
        mode=Mode.CONTINUOUS,
        created_at=now,
        expires_at=expires_at,
        ttl=expires_at - now,
        slot=sealed.slot,
        version=sealed.version,
        sealed_credential=sealed.credential,
        sealed_targets=sealed.targets,
        contact_token=os.urandom(16).hex(),
        call_id=os.urandom(16).hex(),
        relay_user=os.urandom(16).hex(),
        registrar=place_of(phone.account).domain,
        aor_index=vault.index(aor_name(parse_uri(phone.account.aor))),
        commitment=os.urandom(32),
        targets=(
            NewTarget(
                vault.index(target_name(target)),
                target.provider,
                target.kind,
                target.environment,
            ),
        ),
    )


def _insert(conn: sqlite3.Connection, rows: Sequence[NewInstance]) -> None:
    for row in rows:
        instances.insert(conn, row)


def _register(conn: sqlite3.Connection, now: float, bound: float) -> None:
    """Settle all that is due as if a registrar had granted twice the time that is left."""
    claims = schedule.claim(conn, now, limit=BATCH, per_registrar=BATCH)
    settlements = [
        Settlement(
            n=claim.n,
            generation=claim.generation,
            cseq=claim.cseq,
            next_attempt_at=now + bound * (0.5 + 0.4 * place / BATCH),
            state=InstanceState.REGISTERED,
            last_status=200,
            granted=int(bound),
            bound_until=now + bound,
            binding=Binding('[1,0,"bench","nonce","MD5","auth",null,0,1,""]', (), ""),
        )
        for place, claim in enumerate(claims)
    ]
    schedule.settle(conn, settlements, now)
