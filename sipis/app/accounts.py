"""The operator's accounts at the push services, made of settings and the vault's signers.

Refuses to hold a key: signers read their files themselves. A changed file makes a new account,
since the name of a service account changes with it.
"""

from collections.abc import Mapping
from pathlib import Path

from sipis.config import ApnsSettings, AppSettings, FcmSettings
from sipis.model import PushService
from sipis.push.outcome import Accepted, PushOutcome
from sipis.push.provider import (
    ApnsAccount,
    FcmAccount,
    PushProvider,
    TargetedPush,
    apns_servers,
)
from sipis.vault.signer import ApnsSigner, ServiceAccountSigner


class Accounts:
    """What each app has at Apple and Google; ConfigError names a key file that cannot be used."""

    def __init__(self, apps: Mapping[str, AppSettings]) -> None:
        self._apps = apps
        self._apns: dict[str, ApnsAccount] = {}
        self._fcm: dict[str, FcmAccount] = {}
        for app in apps:
            self.reload(app)

    def reload(self, app: str) -> None:
        """Read the app's key files again; ConfigError, and the accounts stay as they were."""
        apns, fcm = self._apps[app].apns, self._apps[app].fcm
        at_apple, at_google = apns and _apns(apns), fcm and _fcm(fcm)
        if at_apple:
            self._apns[app] = at_apple
        if at_google:
            self._fcm[app] = at_google

    def apns(self, app: str) -> ApnsAccount | None:
        """The app's account at Apple, if it has one."""
        return self._apns.get(app)

    def fcm(self, app: str) -> FcmAccount | None:
        """The app's account at Google, if it has one."""
        return self._fcm.get(app)


class TrialProvider:
    """A push service for apps on trial: without an account their pushes are dropped as accepted."""

    def __init__(self, real: PushProvider, apps: Mapping[str, AppSettings]) -> None:
        self._real = real
        self._dropped_for = frozenset(name for name, app in apps.items() if app.trial)

    @property
    def service(self) -> PushService:
        """The service in whose place it stands."""
        return self._real.service

    async def send(self, push: TargetedPush) -> PushOutcome:
        """Send it, or drop it for an app on trial."""
        if push.notification.app in self._dropped_for:
            return Accepted()
        return await self._real.send(push)

    def warm(self, app: str) -> None:
        """Get ready, unless nothing will be sent."""
        if app not in self._dropped_for:
            self._real.warm(app)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._real.close()


def push_files(app: AppSettings) -> list[Path]:
    """The files that an app's accounts are made of."""
    files = [app.apns and app.apns.key_file, app.fcm and app.fcm.service_account_file]
    return [path for path in files if path]


def _apns(settings: ApnsSettings) -> ApnsAccount:
    return ApnsAccount(
        team_id=settings.team_id,
        topic=settings.topic,
        signer=ApnsSigner(settings.key_file, settings.key_id),
        servers=apns_servers(settings.server, settings.port),
        ca_file=settings.ca_file,
    )


def _fcm(settings: FcmSettings) -> FcmAccount:
    signer = ServiceAccountSigner(settings.service_account_file)
    return FcmAccount(
        project_id=signer.project_id,
        client_email=signer.client_email,
        signer=signer,
        token_uri=signer.token_uri,
        base_url=settings.base_url,
        ca_file=settings.ca_file,
    )
