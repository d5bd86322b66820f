"""The vault's counter: seal, open, destroy.

Admitting writes the key first and returns when it is durable; only then may its row be written.
Destroying overwrites the key first; only then may the row be erased. So a crash leaves at worst a
key without a row (found at start) or a row that nobody can open, never a secret that ought to be
gone.

Refuses plaintext at rest, and to open for one instance what was sealed for another.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sipis.config import KeysSettings
from sipis.errors import KeeperLocked
from sipis.model import Account, InstanceId, PushTarget
from sipis.vault import records
from sipis.vault.authorizer import OpenedAccount, digest_user
from sipis.vault.credentials import Credential, Ha1Credential, RelayLogin
from sipis.vault.envelope import KEY_LENGTH, NONCE_LENGTH, keyed_hash
from sipis.vault.epoch import create_epoch, read_epoch
from sipis.vault.kek import load_kek
from sipis.vault.keystore import KeyStore, Rolled
from sipis.vault.place import CONTENT_SIZES, RECORD_SIZES, Place
from sipis.vault.records import CredentialRecord, Targets
from sipis.vault.search import Wanted
from sipis.vault.slots import DataKeys

_CREDENTIAL: Final = "account"
_TARGETS: Final = "targets"


class KeyOwner(Protocol):
    """Whose key is where."""

    @property
    def id(self) -> InstanceId:
        """The instance."""

    @property
    def slot(self) -> int:
        """Its key slot."""


class KeyHolder(KeyOwner, Protocol):
    """An owner of a key for whom things are sealed: a row of an instance."""

    @property
    def app(self) -> str:
        """The app that it belongs to."""


class SealedCredential(KeyHolder, Protocol):
    """A holder with its sealed credential record."""

    @property
    def version(self) -> int:
        """How often it was sealed."""

    @property
    def credential(self) -> bytes:
        """The sealed credential record."""


class SealedRow(SealedCredential, Protocol):
    """A holder with both of its sealed records."""

    @property
    def targets(self) -> bytes:
        """The sealed targets record."""


@dataclass(frozen=True, slots=True)
class SealedInstance:
    """What the store keeps of an admission."""

    slot: int
    version: int
    credential: bytes
    targets: bytes


class Vault:
    """All secrets of this server."""

    def __init__(self, keys: KeyStore, entropy: Callable[[int], bytes]) -> None:
        self._index_key = keys.epoch.index_key
        self._keys = keys
        self._slots = keys.slots
        self._entropy = entropy
        self.on_destroyed: Callable[[], None] = _nobody
        """Called in the loop when keys have been destroyed: a roll is due."""

    @classmethod
    def open(
        cls,
        settings: KeysSettings,
        data_dir: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        entropy: Callable[[int], bytes] = os.urandom,
        inline: bool = False,
    ) -> "Vault":
        """Open the key store, or make it on a first start.

        `inline` works on the caller's thread instead of one of its own: for simulations.
        KeeperLocked, with no file changed, when a key file is missing, wrong or in use.
        """
        epoch_path, slots_path = _paths(settings, data_dir)
        started = _has_started(epoch_path, slots_path)
        kek = load_kek(settings, data_dir, environment, needed=started, entropy=entropy)
        if not started:
            create_epoch(epoch_path, kek, entropy)
        return cls(KeyStore.open(epoch_path, slots_path, kek, entropy, inline=inline), entropy)

    @staticmethod
    def check(
        settings: KeysSettings, data_dir: Path, *, environment: Mapping[str, str] = os.environ
    ) -> None:
        """Whether open() would find its keys; it raises as open() does and makes nothing."""
        epoch_path, slots_path = _paths(settings, data_dir)
        started = _has_started(epoch_path, slots_path)
        if started or settings.kek_file is not None:
            kek = load_kek(settings, data_dir, environment, needed=True, entropy=os.urandom)
        if started:
            read_epoch(epoch_path, kek)

    async def admit(
        self,
        *,
        id: InstanceId,  # noqa: A002  # the word of the whole house
        app: str,
        account: Account,
        credential: Credential,
        targets: Sequence[PushTarget],
        push_key: bytes | None,
        relay: RelayLogin,
    ) -> SealedInstance:
        """Seal a new instance under fresh keys; returns when the keys are durable.

        FieldError names what is too long; VaultError when there is no room for keys.
        """
        record = records.new_record(account, credential, relay)
        keys = DataKeys(self._entropy(KEY_LENGTH), self._entropy(KEY_LENGTH))
        return await self._seal(id, app, 1, keys, (record, Targets(tuple(targets), push_key)))

    async def readmit(
        self,
        sealed: SealedRow,
        *,
        account: Account | None = None,
        credential: Credential | None = None,
        targets: Targets | None = None,
        relay: RelayLogin | None = None,
    ) -> SealedInstance:
        """Seal an instance anew with what changed: fresh slot and credential key, next version.

        Stored messages stay readable. The old slot lives until the caller has moved the row and
        destroys it. KeyGone when the instance was destroyed meanwhile.
        """
        keys = self._slots.read(sealed.slot, sealed.id)
        old = self._open_credential(sealed, keys)
        new = records.changed(old, account, credential)
        if relay is not None:
            new = records.new_record(new.account, new.credential, relay)
        plain = (new, targets or self.open_targets(sealed))
        fresh = DataKeys(self._entropy(KEY_LENGTH), keys.content)
        return await self._seal(sealed.id, sealed.app, sealed.version + 1, fresh, plain)

    async def retire_password(
        self, sealed: SealedRow, realms: Sequence[str]
    ) -> SealedInstance | None:
        """Put HA1s for these realms in the place of the password; None when there is none."""
        record = self._open_credential(sealed, self._slots.read(sealed.slot, sealed.id))
        if record.password is None or not realms:
            return None
        user, password = digest_user(record.account), record.password.reveal()
        ha1s = (ha1 for realm in realms for ha1 in records.digests(user, realm, password))
        return await self.readmit(sealed, credential=Ha1Credential(tuple(ha1s)))

    async def destroy(self, owners: Sequence[KeyOwner]) -> None:
        """Overwrite what these instances hold in these slots; returns when that is durable.

        A slot that went to another instance meanwhile is spared. VaultError when the disk fails:
        then the roll that is due tries again.
        """
        places = [(owner.slot, owner.id) for owner in owners]
        try:
            await self._keys.erase(places)
        finally:
            if places:
                self.on_destroyed()

    def holds(self, owner: KeyOwner) -> bool:
        """Whether the instance still has its key."""
        return self._slots.holds(owner.slot, owner.id)

    def wanted_keys(self, owner: KeyOwner) -> tuple[Wanted, Wanted]:
        """The data keys of an instance, masked, to be looked for after their end; KeyGone."""
        keys = self._slots.read(owner.slot, owner.id)
        return Wanted.of(keys.credential, self._entropy), Wanted.of(keys.content, self._entropy)

    @property
    def generation(self) -> int:
        """The number of the epoch key in force."""
        return self._keys.epoch.generation

    @property
    def began_empty(self) -> bool:
        """Whether there were no key slots when it was opened: the first start, or all is lost."""
        return self._slots.made

    async def roll(self) -> Rolled:
        """Put the next epoch in force, so that no old copy opens what was destroyed until now.

        VaultError when the disk fails; what is destroyed stays so, and it is to be tried again.
        """
        return await self._keys.roll()

    async def rotate_kek(self, new: bytes) -> Rolled:
        """Roll, and wrap the epoch under another KEK (32 bytes): the old one opens nothing more."""
        return await self._keys.roll(new)

    @property
    def segments(self) -> range:
        """The segments of key slots that exist."""
        return range(self._slots.segments)

    async def held(self, segment: int) -> Mapping[int, InstanceId]:
        """Slots of a segment that an earlier process gave out, and whose they are.

        To be compared with the rows: a key without a row is what a crash left of an admission.
        """
        return await self._keys.held(segment)

    def end_survey(self) -> None:
        """All segments have been compared; held() is not asked again."""
        self._slots.end_survey()

    def open_account(self, sealed: SealedCredential) -> OpenedAccount:
        """Open the credential; KeyGone when it was destroyed, SealBroken when it was altered."""
        keys = self._slots.read(sealed.slot, sealed.id)
        return OpenedAccount(self._open_credential(sealed, keys))

    def open_targets(self, sealed: SealedRow) -> Targets:
        """Open the push targets; KeyGone when destroyed, SealBroken when altered."""
        key = self._slots.read(sealed.slot, sealed.id).credential
        place = Place(sealed.app, sealed.id, _TARGETS, sealed.version)
        return records.decode_targets(place.open(key, sealed.targets))

    def seal_content(self, holder: KeyHolder, purpose: str, item: str, data: bytes) -> bytes:
        """Seal a message or call of an instance; `item` is its id. FieldError when too long."""
        key = self._slots.read(holder.slot, holder.id).content
        place = Place(holder.app, holder.id, purpose, item)
        return place.seal(key, data, CONTENT_SIZES, self._entropy(NONCE_LENGTH))

    def open_content(self, holder: KeyHolder, purpose: str, item: str, sealed: bytes) -> bytes:
        """Open what seal_content() made; KeyGone when destroyed, SealBroken when altered."""
        key = self._slots.read(holder.slot, holder.id).content
        return Place(holder.app, holder.id, purpose, item).open(key, sealed)

    def index(self, text: str) -> bytes:
        """A 32-byte name by which rows find `text` without holding it (HMAC-SHA256)."""
        return keyed_hash(self._index_key, text)

    def close(self) -> None:
        """Finish what is being written and let go of the files."""
        self._keys.close()

    async def _seal(
        self,
        instance: InstanceId,
        app: str,
        version: int,
        keys: DataKeys,
        plain: tuple[CredentialRecord, Targets],
    ) -> SealedInstance:
        def seal(purpose: str, data: bytes) -> bytes:
            place = Place(app, instance, purpose, version)
            return place.seal(keys.credential, data, RECORD_SIZES, self._entropy(NONCE_LENGTH))

        credential = seal(_CREDENTIAL, records.encode_credential(plain[0]))
        targets = seal(_TARGETS, records.encode_targets(plain[1]))
        slot = await self._keys.write(instance, keys)
        return SealedInstance(slot, version, credential, targets)

    def _open_credential(self, sealed: SealedCredential, keys: DataKeys) -> CredentialRecord:
        place = Place(sealed.app, sealed.id, _CREDENTIAL, sealed.version)
        return records.decode_credential(place.open(keys.credential, sealed.credential))


def _nobody() -> None:
    """Nobody rolls: the vault of a test or a tool."""


def _paths(settings: KeysSettings, data_dir: Path) -> tuple[Path, Path]:
    """Where the epoch slot and the key slots are."""
    return settings.epoch or data_dir / "epoch", settings.slots or data_dir / "slots"


def _has_started(epoch: Path, slots: Path) -> bool:
    """Whether this key store was made before; KeeperLocked when its root is gone."""
    if slots.exists() and not epoch.exists():
        raise KeeperLocked(f"epoch slot {epoch}: missing, but there are key slots")
    return epoch.exists()
