"""The one tree of errors.

    SipisError
    ├── ConfigError            a setting is missing or wrong; names the key
    ├── FieldError             bad input from an app; names the field
    ├── ProtocolError          SIP
    │   ├── LocalProtocolError     our fault: we tried to do what the protocol forbids
    │   └── RemoteProtocolError    the peer's fault; carries the status that it is owed
    ├── TransportError         no flow, no address, connection lost
    │   ├── RefusedAddress         the address lies in a network that we never talk to
    │   └── UntrustedPeer          the server cannot prove that it is who was asked for
    ├── VaultError
    │   ├── KeeperLocked           the key-encryption key is missing or wrong
    │   ├── KeyGone                the data key of an instance was destroyed
    │   └── SealBroken             a record was altered, or belongs to another place
    └── StoreError             the database cannot do what was asked

Refuses to hold expected outcomes: a declined push or a 403 to a REGISTER is a value, not an error.
"""


class SipisError(Exception):
    """Root of everything that this package raises on purpose."""


class ConfigError(SipisError):
    """A setting is missing or wrong."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


class FieldError(SipisError):
    """Bad input; `field` is the dotted path that the caller sent."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class ProtocolError(SipisError):
    """A SIP rule was broken; `status_hint` is the response owed, 0 where none is."""

    def __init__(self, problem: str, status_hint: int = 0) -> None:
        super().__init__(problem)
        self.status_hint = status_hint


class LocalProtocolError(ProtocolError):
    """We broke the rule: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rule."""

    def __init__(self, problem: str, status_hint: int = 400) -> None:
        super().__init__(problem, status_hint)


class TransportError(SipisError):
    """No flow could be had or the one in use was lost."""


class RefusedAddress(TransportError):
    """The address lies in a network that this server never talks to.

    `field` is the dotted path of the input that led there, empty where no caller sent it.
    """

    def __init__(self, problem: str, field: str = "") -> None:
        super().__init__(problem)
        self.field = field


class UntrustedPeer(TransportError):
    """The certificate of a server is missing, not trusted, or another's."""


class VaultError(SipisError):
    """The vault cannot do what was asked."""


class KeeperLocked(VaultError):
    """The key-encryption key is missing or wrong; nothing was changed."""


class KeyGone(VaultError):
    """The data key of this instance was destroyed; its records can never be read again."""


class SealBroken(VaultError):
    """A sealed record was altered, or lies where it does not belong; it stays shut."""


class StoreError(SipisError):
    """The database cannot do what was asked."""
