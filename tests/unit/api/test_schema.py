"""Bodies: what is accepted, what is refused, and that no error repeats what was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sipis.api.schema import CreateBody, ReplaceBody
from sipis.model import Mode

TARGET = {"provider": "fcm", "kind": "token", "token": "t0ken"}
ACCOUNT = {"aor": "sip:alice@provider.example", "password": "pw"}


def body(**changes: object) -> dict[str, object]:
    return {"app_id": "app", "account": ACCOUNT, "targets": [TARGET], **changes}


def account(**changes: object) -> dict[str, object]:
    return body(account={**ACCOUNT, **changes})


def wrong_field(values: dict[str, object]) -> str:
    with pytest.raises(ValidationError) as wrong:
        CreateBody.model_validate(values)
    return ".".join(str(part) for part in wrong.value.errors()[0]["loc"])


def test_the_smallest_body_gets_the_defaults() -> None:
    created = CreateBody.model_validate(body())
    assert created.mode is Mode.CONTINUOUS
    assert created.preview is False
    assert created.ttl is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (body(surprise=1), "surprise"),
        (body(app_id=""), "app_id"),
        (body(targets=[]), "targets"),
        (body(ttl=5), "ttl"),
        (body(mode="sometimes"), "mode"),
        (body(push_key="short"), "push_key"),
        (account(aor="alice"), "account.aor"),
        (account(aor="tel:+123"), "account.aor"),
        (account(aor="sip:provider.example"), "account.aor"),
        (account(aor="sip:a@b:99999"), "account.aor"),
        (account(registrar="http://x"), "account.registrar"),
        (account(display_name="a\r\nEvil: 1"), "account.display_name"),
        (account(password="x" * 300), "account.password"),
        (account(password=None), "account"),
        (account(expires=1), "account.expires"),
        (account(ha1=[{"realm": "r", "ha1": "0" * 32}]), "account"),
        (body(targets=[{**TARGET, "kind": "voip"}]), "targets.0"),
        (body(targets=[{"provider": "apns", "kind": "voip", "token": "xyz"}]), "targets.0"),
        (body(targets=[{**TARGET, "token": "a\x00b"}]), "targets.0.token"),
    ],
)
def test_every_bad_value_is_refused_with_the_name_of_its_field(
    values: dict[str, object], field: str
) -> None:
    assert wrong_field(values) == field


def test_ha1_is_taken_in_place_of_the_password() -> None:
    sent = {"aor": "sip:a@b.example", "ha1": [{"realm": "r", "ha1": "0" * 32}]}
    assert CreateBody.model_validate(body(account=sent)).account.ha1[0].algorithm == "MD5"


def test_an_ha1_of_the_wrong_length_is_refused() -> None:
    sent = {"aor": "sip:a@b.example", "ha1": [{"realm": "r", "ha1": "0" * 31}]}
    assert wrong_field(body(account=sent)) == "account.ha1.0"


@pytest.mark.parametrize("digest", ["z" * 32, "a " * 16, "0x" + "0" * 30, "\u0661" * 32])
def test_an_ha1_that_is_not_written_in_hex_is_refused(digest: str) -> None:
    sent = {"aor": "sip:a@b.example", "ha1": [{"realm": "r", "ha1": digest}]}
    assert wrong_field(body(account=sent)) == "account.ha1.0.ha1"


@pytest.mark.parametrize(
    "name", ["\u5c71\u7530\u3000\u592a\u90ce", "Jos\u00e9\u00a0X", "\u0915\u200d\u0937"]
)
def test_spaces_and_joiners_of_every_script_are_no_control_characters(name: str) -> None:
    sent = CreateBody.model_validate(account(display_name=name, password=name)).account
    assert sent.display_name == name


@given(st.text(min_size=8, max_size=40), st.sampled_from("\0\r\n\t\x7f\x85\u2028\u2029\ud800"))
def test_an_error_never_repeats_a_password(password: str, control: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        CreateBody.model_validate(account(password="marker" + password + control))
    assert "marker" not in str(wrong.value)


def test_a_password_is_hidden_the_moment_it_is_read() -> None:
    assert "marker-pw" not in repr(CreateBody.model_validate(account(password="marker-pw")))
    assert (
        "marker-pw"
        not in CreateBody.model_validate(account(password="marker-pw")).model_dump_json()
    )


def test_replace_may_be_empty() -> None:
    assert ReplaceBody.model_validate({}).account is None
