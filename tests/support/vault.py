"""Makers of vault things, for every test that needs an instance with secrets."""

import os
from dataclasses import dataclass
from pathlib import Path

from sipis.config import KeysSettings
from sipis.model import (
    Account,
    Environment,
    InstanceId,
    PushService,
    PushTarget,
    TargetKind,
)
from sipis.secret import Secret
from sipis.vault import Credential, PasswordCredential, RelayLogin, SealedInstance, Vault

PASSWORD = "marker-Zx9-password"
RELAY_PASSWORD = "5e" * 32
ACCOUNT = Account("sip:alice@example.org", registrar="sip:example.org;transport=udp")
RELAY = RelayLogin("a1" * 16, Secret(RELAY_PASSWORD), "sipis")
VOIP = PushTarget(PushService.APNS, TargetKind.VOIP, "0f" * 32, Environment.PRODUCTION)
TOKEN = PushTarget(PushService.FCM, TargetKind.TOKEN, "fcm-registration-token")


@dataclass(frozen=True, slots=True)
class Row:
    """What the store gives the vault."""

    id: InstanceId
    app: str
    slot: int
    version: int
    credential: bytes
    targets: bytes


def open_vault(directory: Path, *, inline: bool = True) -> Vault:
    """A vault under the directory, without any configuration."""
    return Vault.open(KeysSettings(), directory, environment={}, inline=inline)


def new_id() -> InstanceId:
    """A fresh instance id."""
    return InstanceId(os.urandom(16).hex())


async def admitted(
    vault: Vault,
    *,
    instance: InstanceId | None = None,
    app: str = "app",
    credential: Credential | None = None,
    account: Account = ACCOUNT,
    targets: tuple[PushTarget, ...] = (VOIP, TOKEN),
) -> Row:
    """Admit an instance and return the row that a store would keep."""
    instance = instance or new_id()
    sealed = await vault.admit(
        id=instance,
        app=app,
        account=account,
        credential=credential or PasswordCredential(Secret(PASSWORD)),
        targets=targets,
        push_key=b"k" * 32,
        relay=RELAY,
    )
    return row_of(instance, app, sealed)


def row_of(instance: InstanceId, app: str, sealed: SealedInstance) -> Row:
    """A row of a sealed instance."""
    return Row(instance, app, sealed.slot, sealed.version, sealed.credential, sealed.targets)
