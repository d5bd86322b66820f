"""What an app hands in, checked and named: where its account registers, how its targets are found.

Refuses targets whose push service the operator did not configure, and hosts that SIP may not be
sent to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sipis.config import PolicySettings, Settings
from sipis.errors import FieldError, RefusedAddress, RemoteProtocolError
from sipis.lifecycle.ports import HostPolicy
from sipis.model import Account, PushService, PushTarget
from sipis.registrant.bindings import place_of
from sipis.relay.names import aor_name, target_name
from sipis.sip.uri import SipUri, parse_uri
from sipis.store.targets import NewTarget
from sipis.transport.networks import parse_address
from sipis.vault import Vault

SIP_PORT: Final = 5060
SHORTEST_TTL: Final = 60.0


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Under which key an account's registrar is paced, and by which its AoR is found."""

    registrar: str
    aor_index: bytes


def whereabouts(account: Account, vault: Vault, policy: HostPolicy) -> Whereabouts:
    """Where an account belongs; FieldError for a URI that is none, RefusedAddress for its host."""
    try:
        place = place_of(account)
        aor = parse_uri(account.aor)
    except RemoteProtocolError as wrong:
        raise FieldError("account", str(wrong)) from None
    home = "account.registrar" if account.registrar else "account.aor"
    _check_host(SipUri.parse(place.uri), home, policy)
    _check_host(
        place.next_hop, "account.outbound_proxy" if account.outbound_proxy else home, policy
    )
    return Whereabouts(place.domain, vault.index(aor_name(aor)))


def unique(targets: Sequence[PushTarget]) -> tuple[PushTarget, ...]:
    """The targets without repetitions, in order."""
    return tuple(dict.fromkeys(targets))


def check_targets(app: str, targets: Sequence[PushTarget], settings: Settings) -> None:
    """FieldError for a target that no configured push service of the app reaches."""
    configured = settings.apps.get(app)
    if configured is None:
        raise FieldError("app_id", "is not configured")
    accounts = {PushService.APNS: configured.apns, PushService.FCM: configured.fcm}
    for number, target in enumerate(targets):
        if accounts[target.provider] is None and not configured.trial:
            raise FieldError(f"targets.{number}.provider", "is not configured for this app")


def new_targets(targets: Sequence[PushTarget], vault: Vault) -> tuple[NewTarget, ...]:
    """The targets as rows: without their tokens."""
    return tuple(
        NewTarget(vault.index(target_name(one)), one.provider, one.kind, one.environment)
        for one in targets
    )


def granted_ttl(wanted: float | None, policy: PolicySettings) -> float:
    """The lifetime in seconds: what was asked for or the default, never above the cap."""
    return max(SHORTEST_TTL, min(wanted or policy.ttl_default, policy.ttl_max))


def _check_host(uri: SipUri, field: str, policy: HostPolicy) -> None:
    try:
        policy.check_name(uri.host)
        if parse_address(uri.host) is not None:
            policy.check(uri.host, uri.port or SIP_PORT)
    except FieldError as wrong:
        raise FieldError(field, f"its host {wrong.problem}") from None
    except RefusedAddress as refused:
        raise RefusedAddress(str(refused), field) from None
