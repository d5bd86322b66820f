"""How the calls of one instance ring: the provider's word before the app's before the general one.

Refuses to know calls: it reads settings.
"""

from sipis.config import AppSettings, Settings
from sipis.relay.call import Policy

_NO_APP = AppSettings()


def policy_for(settings: Settings, app: str, registrar: str) -> Policy:
    """The policy for the calls of an app that come through a registrar."""
    general = settings.policy
    provider = settings.provider(registrar)
    own = settings.apps.get(app, _NO_APP)
    return Policy(
        ring=provider.ring or own.ring or general.ring,
        react_timeout=own.react_timeout or general.react_timeout,
        answer_timeout=own.answer_timeout or general.answer_timeout,
        no_answer_status=_first(
            provider.no_answer_status, own.no_answer_status, general.no_answer_status
        ),
        decline_status=_first(provider.decline_status, own.decline_status, general.decline_status),
        progress=settings.sip.progress_headers,
    )


def _first(provider: int | None, app: int | None, general: int) -> int:
    return provider or app or general
