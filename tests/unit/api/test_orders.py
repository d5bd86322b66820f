"""From bodies to orders."""

import base64

import pytest

from sipis.api import problems, schema
from sipis.api.orders import enable_order, replace_order
from sipis.api.problems import Problem
from sipis.config import AppSettings
from sipis.sip.digest import Algorithm
from sipis.vault import Ha1Credential, PasswordCredential

TRIAL = AppSettings(trial=True)
ACCOUNT: dict[str, object] = {"aor": "sip:alice@example.org", "password": "secret"}
TARGET = {"provider": "fcm", "kind": "token", "token": "a-token"}


def create(**changes: object) -> schema.CreateBody:
    body = {"app_id": "phone", "account": ACCOUNT, "targets": [TARGET]} | changes
    return schema.CreateBody.model_validate(body)


def test_a_password_and_digests_become_what_the_vault_seals() -> None:
    assert isinstance(enable_order(create(), TRIAL, None).credential, PasswordCredential)
    ha1 = {"realm": "example.org", "algorithm": "SHA-256", "ha1": "ab" * 32}
    body = create(account={"aor": "sip:alice@example.org", "ha1": [ha1]})
    credential = enable_order(body, TRIAL, None).credential
    assert isinstance(credential, Ha1Credential)
    assert credential.ha1s[0].algorithm is Algorithm.SHA256


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["=", ""])
def test_a_push_key_is_read_in_either_alphabet_padded_or_not(encode: object, padding: str) -> None:
    key = bytes(range(224, 256))
    assert callable(encode)
    text = encode(key).decode().rstrip("=") + padding
    assert enable_order(create(push_key=text), TRIAL, None).push_key == key


def test_what_a_put_leaves_out_stays() -> None:
    order = replace_order(schema.ReplaceBody.model_validate({}), TRIAL)
    assert order == type(order)()


def test_a_service_without_an_account_is_a_problem_of_its_target() -> None:
    with pytest.raises(Problem) as refused:
        enable_order(create(), AppSettings(), None)
    assert refused.value.kind is problems.PUSH_NOT_CONFIGURED
    assert refused.value.field == "targets.0.provider"


def test_a_preview_is_the_operators_to_allow() -> None:
    with pytest.raises(Problem) as refused:
        enable_order(create(preview=True), TRIAL, None)
    assert refused.value.field == "preview"
    allowed = AppSettings(trial=True, preview=True)
    assert enable_order(create(preview=True), allowed, None).preview
