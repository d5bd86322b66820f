"""Settings: one TOML file, an environment override for what is no secret, unknown key = error.

Refuses secrets inline: they come from files (`*_file`), never from here or the environment.
Durations are seconds. Addresses of listeners are written `transport:host:port`.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sipis.errors import ConfigError

ENVIRONMENT_PREFIX = "SIPIS_"
DAY = 86_400
RelayAlgorithm = Literal["MD5", "SHA-256", "SHA-512-256"]
Ring = Literal["now", "push-accepted", "device"]
Seconds = Annotated[float, Field(gt=0)]
Lifetime = Annotated[float, Field(ge=60)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiSettings(_Section):
    """The public HTTP listener of the app API."""

    host: str = "127.0.0.1"
    port: Port = 8080
    cert_file: Path | None = None
    key_file: Path | None = None
    behind_proxy: bool = False
    requests_per_minute: int = 600
    max_body: int = 32 * 1024
    node: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""

    @model_validator(mode="after")
    def _encrypted_when_public(self) -> "ApiSettings":
        if self.host not in {"127.0.0.1", "::1", "localhost"} and not (
            self.cert_file or self.behind_proxy
        ):
            raise ValueError(
                "an address other than loopback needs cert_file or behind_proxy = true"
            )
        return self


class AdminSettings(_Section):
    """The listener for operators: metrics, health, instances; on loopback by default."""

    host: str = "127.0.0.1"
    port: Port = 8081
    token_file: Path | None = None


class SipSettings(_Section):
    """Listeners of both doors, and the address that the outside sees."""

    provider_listeners: tuple[str, ...] = ("udp:127.0.0.1:5060", "tcp:127.0.0.1:5060")
    app_listeners: tuple[str, ...] = ("tcp:127.0.0.1:5070",)
    advertise: str = ""
    learn_from_rport: bool = True
    user_agent: str = "sipis"
    cert_file: Path | None = None
    key_file: Path | None = None
    relay_realm: str = "sipis"
    relay_algorithms: tuple[RelayAlgorithm, ...] = ("MD5",)
    relay_uris: tuple[str, ...] = ()
    progress_headers: bool = True
    nat_binding: Seconds = 30.0
    nameservers: tuple[str, ...] = ()


class StoreSettings(_Section):
    """Where the database files are, and which folders are backed up or replicated."""

    directory: Path = Path("data")
    backup_folders: tuple[Path, ...] = ()


class KeysSettings(_Section):
    """Where the key-encryption key, the epoch slot and the key slots are (default: the store).

    `roll_after_delete` and `roll_every` bound the life of an epoch key.
    """

    kek_file: Path | None = None
    epoch: Path | None = None
    slots: Path | None = None
    roll_after_delete: Seconds = 60.0
    roll_every: Seconds = 3600.0
    allow_copy_on_write: bool = False


class AuditSettings(_Section):
    """The transparency log: who signs it, under which name, how long its lines are kept.

    `previous_key_file` signs as well while a new key takes over.
    """

    key_file: Path | None = None
    previous_key_file: Path | None = None
    origin: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9./_-]{0,63}$")] = "sipis.local/log"
    retention: Annotated[float, Field(ge=8 * DAY)] = 400 * DAY
    canary_every: Seconds = 3600.0


class PolicySettings(_Section):
    """Lifetimes, ring times and limits."""

    ttl_default: Lifetime = 5 * DAY
    ttl_max: Lifetime = 7 * DAY
    never_registered: Seconds = 12 * 3600
    foreground_lease: Seconds = 900
    react_timeout: Seconds = 20
    answer_timeout: Seconds = 60
    ring: Ring = "push-accepted"
    no_answer_status: Annotated[int, Field(ge=400, le=699)] = 480
    decline_status: Annotated[int, Field(ge=400, le=699)] = 486
    max_message: int = 64 * 1024
    max_messages: int = 200
    message_ttl: Seconds = 7 * DAY
    calls_per_minute: int = 10
    messages_per_minute: int = 30
    drain_timeout: Seconds = 60
    tombstone_ttl: Seconds = DAY
    expires: Annotated[int, Field(ge=60, le=86_400)] = 3600


class NetworkSettings(_Section):
    """Networks that may be talked to although they are private."""

    allow: tuple[str, ...] = ()


class ProviderSettings(_Section):
    """What one SIP provider needs; keyed by its domain."""

    ca_file: Path | None = None
    tls_pin: str | None = None
    extra_sources: tuple[str, ...] = ()
    inbound: Literal["set", "token"] = "set"
    udp_source: str = "shared"
    large_over_tcp: bool = True
    flows: str = "shared"
    min_expires: int | None = None
    ring: Ring | None = None
    no_answer_status: int | None = None
    decline_status: int | None = None
    register_per_second: float = 50.0
    registers_in_flight: int = 32
    auth_failures_per_hour: int = 5
    allow_downgrade: bool = False


class ApnsSettings(_Section):
    """The operator's own key at Apple (.p8, token authentication)."""

    team_id: str
    key_id: str
    key_file: Path
    topic: str
    server: str | None = None
    port: Port = 443
    ca_file: Path | None = None


class FcmSettings(_Section):
    """The operator's own service account at Google."""

    service_account_file: Path
    base_url: str = "https://fcm.googleapis.com"
    ca_file: Path | None = None


class AppSettings(_Section):
    """One mobile app: its keys for this API and for the push services."""

    key_files: tuple[Path, ...] = ()
    apns: ApnsSettings | None = None
    fcm: FcmSettings | None = None
    ring: Ring | None = None
    react_timeout: Seconds | None = None
    answer_timeout: Seconds | None = None
    no_answer_status: int | None = None
    decline_status: int | None = None
    preview: bool = False
    require_verification: bool = True
    ha1: Literal["keep", "after-success"] = "after-success"
    max_instances: int = 1_000_000
    trial: bool = False


class LogSettings(_Section):
    """How much is logged, and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    form: Literal["json", "console"] = "json"


class Settings(_Section):
    """The whole configuration."""

    api: ApiSettings = ApiSettings()
    admin: AdminSettings = AdminSettings()
    sip: SipSettings = SipSettings()
    store: StoreSettings = StoreSettings()
    keys: KeysSettings = KeysSettings()
    audit: AuditSettings = AuditSettings()
    policy: PolicySettings = PolicySettings()
    network: NetworkSettings = NetworkSettings()
    log: LogSettings = LogSettings()
    providers: Mapping[str, ProviderSettings] = {}
    apps: Mapping[str, AppSettings] = {}

    def provider(self, domain: str) -> ProviderSettings:
        """The settings of one provider, or the defaults."""
        return self.providers.get(domain.lower(), _DEFAULT_PROVIDER)


_DEFAULT_PROVIDER = ProviderSettings()


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read the file (none: all defaults), apply `SIPIS_SECTION__KEY`; ConfigError names the key."""
    values = _read(path) if path is not None else {}
    for name, text in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "__" in name:
            _override(values, name, text)
    return parse(values)


def parse(values: Mapping[str, object]) -> Settings:
    """Turn plain values into Settings; ConfigError names the first wrong key."""
    try:
        return Settings.model_validate(values)
    except ValidationError as wrong:
        first = wrong.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise ConfigError(key, first["msg"].removeprefix("Value error, ")) from None


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise ConfigError(str(path), missing.strerror or "cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ConfigError(str(path), f"is not TOML: {wrong}") from None


def _override(values: dict[str, object], name: str, text: str) -> None:
    section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("__")
    if section in {"keys", "apps", "providers"}:
        raise ConfigError(name, "cannot be set from the environment")
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(section, "is not a table")
    table[key] = tuple(text.split(",")) if key in _LISTS else text


_LISTS = frozenset(
    {
        "provider_listeners",
        "app_listeners",
        "relay_algorithms",
        "relay_uris",
        "nameservers",
        "backup_folders",
        "allow",
    }
)
