"""The one room that opens secrets: it seals, answers Digest challenges, checks, signs and destroys.

Refuses to hand a secret out: what leaves is an Authorization value, a verdict, a signature or a
sealed record. (The one exception is a new relay login, told once to the app that it is made for.)
Refuses to keep plaintext: a record is opened for one answer and dropped.
"""

from sipis.vault.authorizer import Authorized, OpenedAccount, Refusal, Refused
from sipis.vault.credentials import (
    Credential,
    Ha1,
    Ha1Credential,
    PasswordCredential,
    RelayLogin,
    new_relay_login,
)
from sipis.vault.nonces import NonceState
from sipis.vault.process import HygieneReport, harden
from sipis.vault.records import Targets
from sipis.vault.signer import ApnsSigner, ServiceAccountSigner, Signer
from sipis.vault.slots import SEGMENT as SLOTS_PER_SEGMENT
from sipis.vault.vault import (
    KeyHolder,
    KeyOwner,
    SealedCredential,
    SealedInstance,
    SealedRow,
    Vault,
)

__all__ = [
    "SLOTS_PER_SEGMENT",
    "ApnsSigner",
    "Authorized",
    "Credential",
    "Ha1",
    "Ha1Credential",
    "HygieneReport",
    "KeyHolder",
    "KeyOwner",
    "NonceState",
    "OpenedAccount",
    "PasswordCredential",
    "Refusal",
    "Refused",
    "RelayLogin",
    "SealedCredential",
    "SealedInstance",
    "SealedRow",
    "ServiceAccountSigner",
    "Signer",
    "Targets",
    "Vault",
    "harden",
    "new_relay_login",
]
