"""What proves who somebody is: an account's password or HA1s, and the login of an app at our relay.

Refuses to show itself: every secret part is a Secret.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sipis.secret import Secret
from sipis.sip.digest import Algorithm

RELAY_USER_BYTES = 16
RELAY_PASSWORD_BYTES = 32


@dataclass(frozen=True, slots=True)
class PasswordCredential:
    """The account's password itself."""

    password: Secret


@dataclass(frozen=True, slots=True)
class Ha1:
    """H(user:realm:password), which stands for the password in one realm (RFC 7616 3.4.2)."""

    realm: str
    algorithm: Algorithm
    """MD5, SHA-256 or SHA-512-256; the -sess variants are answered from it as well."""
    digest: Secret
    """Lower-case hex."""


@dataclass(frozen=True, slots=True)
class Ha1Credential:
    """Digests of the password; the password itself is not known here."""

    ha1s: tuple[Ha1, ...]


Credential = PasswordCredential | Ha1Credential


@dataclass(frozen=True, slots=True)
class RelayLogin:
    """What an app logs in with when it connects to the relay."""

    username: str
    password: Secret
    realm: str

    def for_app(self) -> tuple[str, str]:
        """Username and password in clear, for the one answer that gives them to their app."""
        return self.username, self.password.reveal()


def new_relay_login(realm: str, entropy: Callable[[int], bytes]) -> RelayLogin:
    """A login that cannot be guessed: 128 random bits of name, 256 of password, in hex."""
    password = Secret(entropy(RELAY_PASSWORD_BYTES).hex())
    return RelayLogin(entropy(RELAY_USER_BYTES).hex(), password, realm)
