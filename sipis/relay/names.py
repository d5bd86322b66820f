"""The texts whose keyed hash (`vault.index`) finds a row: one spelling for each thing.

Refuses to hash: the key is the vault's.
"""

from sipis.model import PushTarget
from sipis.sip.uri import SipUri, Uri


def aor_name(uri: Uri) -> str:
    """An address-of-record, whatever its scheme, port and parameters: `aor:user@host`."""
    if isinstance(uri, SipUri):
        return f"aor:{uri.unescaped_user or ''}@{uri.host.lower()}"
    return f"aor:{uri}"


def target_name(target: PushTarget) -> str:
    """A push token at its service: `token:apns:voip:<token>`."""
    return f"token:{target.provider.value}:{target.kind.value}:{target.token}"
