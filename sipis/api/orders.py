"""From bodies to the orders that lifecycle takes: shapes change here, nothing else.

Refuses targets whose push service is not configured for their app, before anything is stored.
"""

import base64

from sipis.api import problems, schema
from sipis.api.problems import Problem
from sipis.config import AppSettings
from sipis.lifecycle.orders import EnableOrder, ReplaceOrder
from sipis.model import Account, PushService, PushTarget
from sipis.push.payload import check_push_key
from sipis.sip.digest import Algorithm
from sipis.vault.credentials import Credential, Ha1, Ha1Credential, PasswordCredential


def enable_order(
    body: schema.CreateBody, app: AppSettings, idempotency_key: str | None
) -> EnableOrder:
    """What POST /v1/instances asks for."""
    _allow_preview(app, asked=body.preview)
    return EnableOrder(
        app=body.app_id,
        account=account_of(body.account),
        credential=credential_of(body.account),
        targets=targets_of(body.targets, app),
        ttl=body.ttl,
        mode=body.mode,
        push_key=_key_of(body.push_key),
        preview=body.preview,
        idempotency_key=idempotency_key,
    )


def replace_order(body: schema.ReplaceBody, app: AppSettings) -> ReplaceOrder:
    """What PUT asks for; None stands for what stays."""
    _allow_preview(app, asked=bool(body.preview))
    return ReplaceOrder(
        account=account_of(body.account) if body.account else None,
        credential=credential_of(body.account) if body.account else None,
        targets=targets_of(body.targets, app) if body.targets else None,
        ttl=body.ttl,
        mode=body.mode,
        push_key=_key_of(body.push_key),
        preview=body.preview,
    )


def targets_of(bodies: tuple[schema.TargetBody, ...], app: AppSettings) -> tuple[PushTarget, ...]:
    """The push targets; a Problem names the first whose service the app has not."""
    for position, body in enumerate(bodies):
        if not _serves(app, body.provider):
            raise Problem(
                problems.PUSH_NOT_CONFIGURED, body.provider.value, f"targets.{position}.provider"
            )
    return tuple(PushTarget(it.provider, it.kind, it.token, it.environment) for it in bodies)


def account_of(body: schema.AccountBody) -> Account:
    """The account without its credential."""
    return Account(
        aor=body.aor,
        auth_user=body.auth_user,
        registrar=body.registrar,
        outbound_proxy=body.outbound_proxy,
        display_name=body.display_name,
        expires=body.expires,
        user_agent=body.user_agent,
    )


def credential_of(body: schema.AccountBody) -> Credential:
    """The password or the HA1s, whichever was sent."""
    if body.password is not None:
        return PasswordCredential(body.password)
    return Ha1Credential(tuple(Ha1(it.realm, Algorithm(it.algorithm), it.ha1) for it in body.ha1))


def _serves(app: AppSettings, service: PushService) -> bool:
    return app.trial or (app.apns if service is PushService.APNS else app.fcm) is not None


def _allow_preview(app: AppSettings, *, asked: bool) -> None:
    if asked and not app.preview:
        raise Problem(problems.INVALID_FIELD, "the operator does not allow previews", "preview")


def _key_of(text: str | None) -> bytes | None:
    """The key of a body; FieldError when it has the length of one and is none."""
    if text is None:
        return None
    key = base64.urlsafe_b64decode(text.rstrip("=").replace("+", "-").replace("/", "_") + "=")
    check_push_key(key)
    return key
