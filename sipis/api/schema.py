"""What travels over the app API: every body and answer as a model; unknown keys are errors.

Refuses control characters in every text, and wraps a password the moment it is read.
"""

import re
import unicodedata
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from sipis.errors import RemoteProtocolError
from sipis.model import (
    CallState,
    DeletionReason,
    Environment,
    InstanceState,
    Mode,
    PushService,
    TargetKind,
)
from sipis.secret import Secret
from sipis.sip.uri import SipUri, parse_uri

_HEX = re.compile(r"[0-9a-fA-F]+\Z")
_UNSENDABLE = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of Unicode that end or break a line, or are no characters by themselves."""
_HA1_DIGITS = {"MD5": 32, "SHA-256": 64, "SHA-512-256": 64}


def _printable(text: str) -> str:
    if any(unicodedata.category(character) in _UNSENDABLE for character in text):
        raise ValueError("control characters are refused")
    return text


def _sip_uri(text: str) -> str:
    _printable(text)
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        raise ValueError("is not a SIP URI (RFC 3261 section 19.1)") from None
    if not isinstance(uri, SipUri):
        raise ValueError("must be a sip: or sips: URI")  # noqa: TRY004 - pydantic wants ValueError
    return text


def _aor(text: str) -> str:
    uri = parse_uri(_sip_uri(text))
    if not isinstance(uri, SipUri) or not uri.user:
        raise ValueError("an address-of-record has a user part")
    return text


def _secret(value: object) -> Secret:
    if not isinstance(value, str) or not 1 <= len(value) <= 256:
        raise ValueError("must be text of 1 to 256 characters")
    return Secret(_printable(value))


def _hex_secret(value: object) -> Secret:
    secret = _secret(value)
    if not (isinstance(value, str) and _HEX.match(value)):
        raise ValueError("must be written in hex")
    return secret


def _base64_key(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", text):
        raise ValueError("must be a 32-byte X25519 public key in base64")
    return text


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_printable)]
Token = Annotated[
    str,
    Field(min_length=1, max_length=4096),
    AfterValidator(_printable),
]
Uri = Annotated[str, Field(max_length=512), AfterValidator(_sip_uri)]
Aor = Annotated[str, Field(max_length=512), AfterValidator(_aor)]
PushKey = Annotated[str, AfterValidator(_base64_key)]
_HIDDEN_FORM = {"type": "string", "minLength": 1, "maxLength": 256, "writeOnly": True}
Hidden = Annotated[
    Secret, PlainValidator(_secret), PlainSerializer(str), WithJsonSchema(_HIDDEN_FORM)
]
HiddenHex = Annotated[
    Secret,
    PlainValidator(_hex_secret),
    PlainSerializer(str),
    WithJsonSchema(_HIDDEN_FORM | {"pattern": "^[0-9a-fA-F]+$"}),
]
Time = Annotated[str, Field(description="RFC 3339 instant in UTC")]


class _Body(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class Ha1Body(_Body):
    """A digest of user, realm and password that the app sends in place of the password."""

    realm: Text
    algorithm: Literal["MD5", "SHA-256", "SHA-512-256"] = "MD5"
    ha1: HiddenHex

    @model_validator(mode="after")
    def _is_a_digest(self) -> Self:
        if len(self.ha1) != _HA1_DIGITS[self.algorithm]:
            raise ValueError("ha1 must be the hex digest of the algorithm")
        return self


class AccountBody(_Body):
    """A SIP account; `password` or `ha1`, never both."""

    aor: Aor
    password: Hidden | None = None
    ha1: Annotated[tuple[Ha1Body, ...], Field(max_length=8)] = ()
    auth_user: Text | None = None
    registrar: Uri | None = None
    outbound_proxy: Uri | None = None
    display_name: Text | None = None
    expires: Annotated[int, Field(ge=60, le=86_400)] | None = None
    user_agent: Text | None = None

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if (self.password is None) == (not self.ha1):
            raise ValueError("give either password or ha1")
        return self


class TargetBody(_Body):
    """One push token of the app installation."""

    provider: PushService
    kind: TargetKind
    token: Token
    environment: Environment | None = None

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        apns = self.kind in {TargetKind.VOIP, TargetKind.ALERT}
        if apns != (self.provider is PushService.APNS):
            raise ValueError("kind does not belong to this provider")
        if self.provider is PushService.APNS and not _HEX.match(self.token):
            raise ValueError("an APNs token is written in hex")
        return self


Targets = Annotated[tuple[TargetBody, ...], Field(min_length=1, max_length=8)]
Ttl = Annotated[int, Field(ge=60, description="seconds; reduced to the server's cap")]


class CreateBody(_Body):
    """Enable push for one SIP account on one app installation."""

    app_id: Text
    account: AccountBody
    targets: Targets
    ttl: Ttl | None = None
    mode: Mode = Mode.CONTINUOUS
    push_key: PushKey | None = None
    preview: bool = False


class ReplaceBody(_Body):
    """Replace what is given; what is absent stays."""

    account: AccountBody | None = None
    targets: Targets | None = None
    mode: Mode | None = None
    ttl: Ttl | None = None
    push_key: PushKey | None = None
    preview: bool | None = None


class RefreshBody(_Body):
    """Extend the lifetime; new targets may come along."""

    ttl: Ttl | None = None
    targets: Targets | None = None


class ForegroundBody(_Body):
    """Ask for the registration for a while."""

    lease: Annotated[int, Field(ge=1, le=900)] | None = None


class VerifyBody(_Body):
    """The code that came in a `verify` push."""

    code: Text


class RelayAnswer(_Body):
    """How the app registers at this server."""

    username: str
    password: str
    realm: str
    uris: tuple[str, ...]


class OpeningAnswer(_Body):
    """What opens the commitment of the deletion receipt later; keep it."""

    commitment: str
    salt: str


class CreatedAnswer(_Body):
    """A new instance; the secret is shown once."""

    instance: str
    secret: str
    expires_at: Time
    ttl: int
    state: InstanceState
    relay: RelayAnswer
    receipt: OpeningAnswer


class InstanceAnswer(_Body):
    """Where an instance stands."""

    instance: str
    state: InstanceState
    reason: str = ""
    mode: Mode
    ttl: int
    created_at: Time
    expires_at: Time
    verified: bool
    registered_until: Time | None = None
    last_attempt_at: Time | None = None
    next_attempt_at: Time | None = None
    last_status: int | None = None
    foreground_until: Time | None = None


class TargetAnswer(_Body):
    """What is known of a push target, save its token."""

    provider: PushService
    kind: TargetKind
    environment: Environment | None
    """Where it works, as far as its push service has shown."""
    verified: bool
    dead: bool
    given_at: Time
    accepted_at: Time | None
    """When its push service took a push last."""


class OperatorAnswer(InstanceAnswer):
    """Where an instance stands, and what may keep it from being woken."""

    app: str
    targets: list[TargetAnswer]


class ReceiptAnswer(_Body):
    """The proof of a deletion."""

    commitment: str
    reason: DeletionReason
    destroyed_at: Time
    signature: str
    """`signed`; `pending` while the signature follows; `unsigned` while the log knows nothing."""
    leaf: str | None = None
    proof: str | None = None


class ConsistencyAnswer(_Body):
    """Hashes of RFC 9162 section 2.1.4, in hex."""

    hashes: tuple[str, ...]


class CallAnswer(_Body):
    """One call, as a late waker needs it."""

    call: str
    state: CallState
    started_at: Time
    from_: Annotated[str | None, Field(alias="from", serialization_alias="from")] = None


class CallsAnswer(_Body):
    """Pending and missed calls."""

    calls: tuple[CallAnswer, ...]


class MessageAnswer(_Body):
    """One stored message."""

    id: str
    received_at: Time
    from_: Annotated[str, Field(alias="from", serialization_alias="from")]
    content_type: str
    body: Annotated[str, Field(description="base64")]


class MessagesAnswer(_Body):
    """Stored messages, oldest first."""

    messages: tuple[MessageAnswer, ...]


class PushTestAnswer(_Body):
    """How many targets the push services took a test push for; VoIP targets get none."""

    accepted: int
