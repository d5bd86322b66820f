"""A lifecycle on files, whose secrets are known so that they can be looked for."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipis.lifecycle import Enabled
from sipis.model import Account, PushService, PushTarget, TargetKind
from sipis.secret import Secret
from sipis.store import lookup
from sipis.vault import PasswordCredential
from sipis.vault.search import Wanted, search_files
from tests.support.lifecycle import House
from tests.unit.lifecycle.conftest import clock, house

__all__ = ["clock", "house"]


@dataclass
class Tenant:
    """An instance, and every secret that must be nowhere after its end."""

    enabled: Enabled
    wanted: list[Wanted] = field(default_factory=list)


class Estate:
    """A house in which every instance is known by its markers."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def let(self, **changes: object) -> Tenant:
        """Enable an instance of which user, password and token are markers of their own."""
        user, password, token = (os.urandom(12).hex() for _ in range(3))
        enabled = await self.house.enable(
            account=Account(f"sip:{user}@example.org"),
            credential=PasswordCredential(Secret(password)),
            targets=(PushTarget(PushService.FCM, TargetKind.TOKEN, token),),
            **changes,
        )
        tenant = Tenant(
            enabled, [Wanted.of(it.encode(), os.urandom) for it in (user, password, token)]
        )
        await self.learn(tenant)
        return tenant

    async def learn(self, tenant: Tenant) -> None:
        """Note the data keys and sealed records that it has now as well."""
        house, row = self.house, tenant.enabled.row
        sealed = await house.store.read(lookup.sealed, row.n, house.clock.wall())
        assert sealed is not None
        tenant.wanted += house.vault.wanted_keys(sealed)
        tenant.wanted += [
            Wanted.of(it[:32], os.urandom) for it in (sealed.credential, sealed.targets)
        ]

    def files(self) -> list[Path]:
        return [path for path in self.house.directory.rglob("*") if path.is_file()]

    def traces(self, tenants: Iterable[Tenant] | Tenant) -> list[str]:
        """The files in which something of them lies."""
        known = [tenants] if isinstance(tenants, Tenant) else list(tenants)
        wanted: Sequence[Wanted] = [it for tenant in known for it in tenant.wanted]
        return [path.name for path in search_files(self.files(), wanted)]


@pytest.fixture
def estate(house: House) -> Estate:
    return Estate(house)
