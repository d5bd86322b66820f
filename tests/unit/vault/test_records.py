import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import FieldError, SealBroken
from sipis.model import Account, Environment, PushService, PushTarget, TargetKind
from sipis.secret import Secret
from sipis.sip.digest import Algorithm, ha1
from sipis.vault import Ha1, Ha1Credential, PasswordCredential, RelayLogin, Targets
from sipis.vault.records import (
    decode_credential,
    decode_targets,
    encode_credential,
    encode_targets,
    new_record,
)
from tests.support.vault import RELAY, RELAY_PASSWORD

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
MAYBE = st.none() | TEXT
ACCOUNTS = st.builds(Account, TEXT, MAYBE, MAYBE, MAYBE, MAYBE, st.none() | st.integers(60, 9999))
HA1S = st.builds(
    Ha1,
    TEXT,
    st.sampled_from([Algorithm.MD5, Algorithm.SHA256]),
    st.binary(min_size=16, max_size=32).map(lambda raw: Secret(raw.hex())),
)
CREDENTIALS = st.builds(PasswordCredential, TEXT.map(Secret)) | st.builds(
    Ha1Credential, st.lists(HA1S, min_size=1, max_size=4).map(tuple)
)
TARGETS = st.builds(
    PushTarget,
    st.sampled_from(PushService),
    st.sampled_from(TargetKind),
    TEXT,
    st.none() | st.sampled_from(Environment),
)


@given(ACCOUNTS, CREDENTIALS)
def test_a_credential_record_reads_back_as_it_was_written(
    account: Account, credential: PasswordCredential | Ha1Credential
) -> None:
    record = new_record(account, credential, RELAY)
    assert decode_credential(encode_credential(record)) == record


@given(st.lists(TARGETS, max_size=4), st.none() | st.binary(min_size=32, max_size=32))
def test_a_targets_record_reads_back_as_it_was_written(
    targets: list[PushTarget], push_key: bytes | None
) -> None:
    record = Targets(tuple(targets), push_key)
    assert decode_targets(encode_targets(record)) == record


@given(st.binary(max_size=60))
def test_other_bytes_are_never_taken_for_a_record(data: bytes) -> None:
    with pytest.raises(SealBroken):
        decode_credential(data)
    with pytest.raises(SealBroken):
        decode_targets(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"1",
        b'{"relay":["u"],"account":{"aor":"a"}}',
        b'{"targets":[[1]]}',
        b'{"targets":[["apns","voip","t","moon"]]}',
    ],
)
def test_json_of_another_shape_is_refused(data: bytes) -> None:
    with pytest.raises(SealBroken):
        decode_credential(data)
    with pytest.raises(SealBroken):
        decode_targets(data)


def test_of_the_relay_password_only_its_digests_are_kept() -> None:
    record = new_record(Account("sip:a@b"), PasswordCredential(Secret("p")), RELAY)
    assert RELAY_PASSWORD.encode() not in encode_credential(record)
    expected = ha1(Algorithm.SHA256, RELAY.username, "sipis", RELAY_PASSWORD)
    assert record.relay_ha1s[1] == Ha1("sipis", Algorithm.SHA256, Secret(expected))


def test_half_a_character_is_the_fault_of_the_account() -> None:
    record = new_record(Account("sip:a@b", display_name="\ud800"), Ha1Credential(()), RELAY)
    with pytest.raises(FieldError):
        encode_credential(record)


def test_records_do_not_show_themselves() -> None:
    record = new_record(Account("sip:marker@b"), PasswordCredential(Secret("marker")), RELAY)
    token = PushTarget(PushService.FCM, TargetKind.TOKEN, "marker")
    assert "marker" not in f"{record!r} {Targets((token,))!r}"


def test_an_ordinary_record_stays_in_the_smallest_size() -> None:
    account = Account("sip:12345678@voip.example.org", registrar="sip:voip.example.org")
    login = RelayLogin("a" * 32, Secret("b" * 64), "sipis")
    record = new_record(account, PasswordCredential(Secret("Tr0ub4dor&3-long")), login)
    assert len(encode_credential(record)) <= 512 - 33
