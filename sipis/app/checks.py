"""What `check-config` finds: errors that would stop a start, and warnings about unwise settings.

Refuses to touch anything: no file is made, no packet sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sipis.api.keys import AppKeys, KeyFile
from sipis.api.server import server_context
from sipis.app.accounts import Accounts
from sipis.config import AuditSettings, Settings
from sipis.errors import SipisError
from sipis.transport.reachable import reachability_warnings
from sipis.transport.settings import TransportSettings
from sipis.vault import Vault
from sipis.vault.medium import check_media, media_warnings


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence for the operator; a fatal one would stop the start."""

    fatal: bool
    text: str

    @property
    def level(self) -> str:
        """How it is shown."""
        return "error" if self.fatal else "warning"


def findings_of(settings: Settings) -> list[Finding]:
    """Everything that is wrong or unwise."""
    errors = [Finding(fatal=True, text=text) for text in _errors(settings)]
    return errors or [Finding(fatal=False, text=text) for text in _warnings(settings)]


def _errors(settings: Settings) -> Iterator[str]:
    checks: tuple[Callable[[], object], ...] = (
        lambda: TransportSettings.of(settings),
        lambda: server_context(settings.api),
        lambda: AppKeys(settings.apps),
        lambda: Accounts(settings.apps),
        lambda: check_media(settings),
        lambda: Vault.check(settings.keys, settings.store.directory),
        lambda: _admin_token(settings),
    )
    for check in checks:
        try:
            check()
        except SipisError as wrong:
            yield str(wrong)


def _admin_token(settings: Settings) -> None:
    """A token file that is named must be there; one that is not is written by the first start."""
    if settings.admin.token_file is not None:
        KeyFile(settings.admin.token_file)


def _warnings(settings: Settings) -> Iterator[str]:
    yield from reachability_warnings(settings.sip)
    for name, app in settings.apps.items():
        if app.trial:
            yield f"apps.{name}.trial: pushes of this app are dropped"
        elif app.apns is None and app.fcm is None:
            yield f"apps.{name}: neither apns nor fcm is configured, every target is refused"
        if not app.key_files:
            yield f"apps.{name}.key_files: without a key nobody can enable an instance"
        if not app.require_verification:
            yield f"apps.{name}.require_verification: pushes go to tokens that nobody proved"
    if not settings.apps:
        yield "apps: no app is configured, nobody can enable an instance"
    yield from media_warnings(settings)
    if settings.audit.key_file is None:
        yield "audit.key_file: the key that signs the log lies beside the log"
    if settings.audit.origin == AuditSettings().origin:
        yield "audit.origin: give the log a name of its own, such as push.example.org/log"
