from dataclasses import replace

import pytest

from sipis.model import Account
from sipis.secret import Secret
from sipis.sip import digest
from sipis.sip.digest import Algorithm, DigestChallenge
from sipis.sip.headers import Credentials
from sipis.vault import (
    Authorized,
    Credential,
    Ha1,
    Ha1Credential,
    NonceState,
    OpenedAccount,
    PasswordCredential,
    Refusal,
    Refused,
)
from sipis.vault.authorizer import digest_user
from sipis.vault.records import digests, new_record
from tests.support.vault import ACCOUNT, PASSWORD, RELAY, RELAY_PASSWORD

URI = "sip:example.org"
REALM = "example.org"
MD5 = DigestChallenge(REALM, "n1", Algorithm.MD5, ("auth",))
SHA256 = DigestChallenge(REALM, "n2", Algorithm.SHA256, ("auth",))
HA1S = Ha1Credential(digests("alice", REALM, PASSWORD))


def opened(credential: Credential | None = None, account: Account = ACCOUNT) -> OpenedAccount:
    return OpenedAccount(
        new_record(account, credential or PasswordCredential(Secret(PASSWORD)), RELAY)
    )


def authorize(
    account: OpenedAccount,
    *challenges: DigestChallenge,
    remembered: NonceState | None = None,
    allow_downgrade: bool = False,
    body: bytes = b"",
) -> Authorized | Refused:
    return account.authorize(
        challenges,
        method="REGISTER",
        uri=URI,
        body=body,
        cnonce="c1",
        remembered=remembered,
        allow_downgrade=allow_downgrade,
    )


def answered(outcome: Authorized | Refused) -> Authorized:
    assert isinstance(outcome, Authorized)
    return outcome


def proves(outcome: Authorized | Refused, *, body: bytes = b"", user: str = "alice") -> bool:
    """What a provider that knows the password makes of the answer."""
    credentials = Credentials.parse(answered(outcome).value)
    algorithm = Algorithm(credentials.params.get("algorithm") or "")
    ha1 = digest.ha1(algorithm, user, credentials.params.get("realm") or "", PASSWORD)
    return digest.check(credentials, ha1_hex=ha1, method="REGISTER", body=body)


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("qop", [("auth",), ("auth-int",), ("auth", "auth-int"), ()])
@pytest.mark.parametrize("credential", [None, HA1S], ids=["password", "ha1"])
def test_k9_password_and_ha1s_answer_every_algorithm_and_qop(
    algorithm: Algorithm, qop: tuple[str, ...], credential: Credential | None
) -> None:
    challenge = DigestChallenge(REALM, "n", algorithm, qop)
    outcome = authorize(opened(credential), challenge, body=b"hello")
    assert proves(outcome, body=b"hello")
    assert answered(outcome).password_based == (credential is None)


def test_a_proxy_challenge_is_answered_in_its_own_header() -> None:
    outcome = answered(authorize(opened(), replace(MD5, proxy=True)))
    assert outcome.header_name == "Proxy-Authorization"
    assert outcome.nonce.proxy
    assert answered(authorize(opened(), MD5)).header_name == "Authorization"


def test_the_topmost_challenge_is_answered() -> None:
    assert answered(authorize(opened(), SHA256, MD5)).nonce.algorithm is Algorithm.SHA256
    assert answered(authorize(opened(), MD5, SHA256)).nonce.algorithm is Algorithm.MD5


def test_userhash_hides_the_name() -> None:
    value = answered(authorize(opened(), replace(SHA256, userhash=True))).value
    assert "alice" not in value
    assert "userhash=true" in value


def test_the_user_is_the_one_given_or_that_of_the_address_of_record() -> None:
    given = Account("sip:alice@example.org", auth_user="12345")
    assert proves(authorize(opened(account=given), MD5), user="12345")
    assert digest_user(Account("sip:al%20ice@example.org")) == "al ice"
    assert digest_user(Account("tel:+4930123")) == ""


def test_no_challenge_that_we_know_is_refused() -> None:
    assert authorize(opened()) == Refused(Refusal.UNSUPPORTED)


def test_ha1s_answer_their_realm_alone() -> None:
    other = replace(MD5, realm="evil.example")
    assert authorize(opened(HA1S), other) == Refused(Refusal.UNKNOWN_REALM)
    assert answered(authorize(opened(HA1S), other, MD5)).nonce.realm == REALM


def test_an_ha1_of_one_algorithm_answers_no_other() -> None:
    md5_only = Ha1Credential(HA1S.ha1s[:1])
    assert authorize(opened(md5_only), SHA256) == Refused(Refusal.UNKNOWN_ALGORITHM)
    assert answered(authorize(opened(md5_only), SHA256, MD5)).nonce.algorithm is Algorithm.MD5


@pytest.mark.parametrize(
    "weaker", [MD5, replace(SHA256, qop=())], ids=["weaker algorithm", "no qop"]
)
def test_a_challenge_weaker_than_before_is_refused_unless_allowed(weaker: DigestChallenge) -> None:
    remembered = answered(authorize(opened(), SHA256)).nonce
    assert authorize(opened(), weaker, remembered=remembered) == Refused(Refusal.DOWNGRADE)
    allowed = authorize(opened(), weaker, remembered=remembered, allow_downgrade=True)
    assert proves(allowed)


def test_beside_a_weaker_challenge_the_strong_one_is_answered() -> None:
    remembered = answered(authorize(opened(), SHA256)).nonce
    outcome = authorize(opened(), MD5, SHA256, remembered=remembered)
    assert answered(outcome).nonce.algorithm is Algorithm.SHA256


def test_what_another_realm_asked_is_no_measure() -> None:
    remembered = answered(authorize(opened(), replace(SHA256, realm="proxy"))).nonce
    assert proves(authorize(opened(), MD5, remembered=remembered))


def test_stronger_than_before_or_a_new_nonce_is_answered() -> None:
    remembered = answered(authorize(opened(), MD5)).nonce
    assert proves(authorize(opened(), SHA256, remembered=remembered))
    assert proves(authorize(opened(), replace(MD5, nonce="n9"), remembered=remembered))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_live_nonce_answers_again_with_the_next_count(algorithm: Algorithm) -> None:
    account = opened(HA1S)
    first = answered(authorize(account, replace(MD5, algorithm=algorithm, opaque="o")))
    again = account.reuse(first.nonce, method="REGISTER", uri=URI, cnonce="c2")
    assert proves(again)
    assert answered(again).nonce.uses == 2
    assert "nc=00000002" in answered(again).value


def test_a_nonce_counted_to_its_end_or_of_a_foreign_realm_is_spent() -> None:
    nonce = answered(authorize(opened(), MD5)).nonce
    spent = nonce._replace(uses=0xFFFFFFFF)
    foreign = nonce._replace(realm="other")
    for account, state in ((opened(), spent), (opened(HA1S), foreign)):
        outcome = account.reuse(state, method="REGISTER", uri=URI, cnonce="c")
        assert outcome == Refused(Refusal.NONCE_SPENT)


def relay_answer(
    algorithm: Algorithm, *, user: str = RELAY.username, password: str = RELAY_PASSWORD
) -> Credentials:
    challenge = DigestChallenge("sipis", "n", algorithm, ("auth",))
    ha1 = digest.ha1(algorithm, user, "sipis", password)
    value = digest.answer(
        challenge,
        user=user,
        ha1_hex=ha1,
        method="REGISTER",
        uri=URI,
        cnonce="c",
        nonce_count=1,
        qop="auth",
    )
    return Credentials.parse(value)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_app_proves_its_relay_login_with_any_algorithm(algorithm: Algorithm) -> None:
    account = opened()
    assert account.relay_user == RELAY.username
    assert account.check_relay(relay_answer(algorithm), "REGISTER")
    assert not account.check_relay(relay_answer(algorithm), "INVITE")
    assert not account.check_relay(relay_answer(algorithm, password="guess"), "REGISTER")
    assert not account.check_relay(relay_answer(algorithm, user="b2" * 16), "REGISTER")


@pytest.mark.parametrize(
    "value",
    [
        "Digest",
        f'Digest username="{RELAY.username}", algorithm=ROT13, response="0"',
        'Digest username="\N{SNOWMAN}", realm="sipis", nonce="n", uri="u", response="0"',
        "Basic abc",
    ],
)
def test_other_credentials_never_pass_at_the_relay(value: str) -> None:
    assert not opened().check_relay(Credentials.parse(value), "REGISTER")


def test_neither_the_account_nor_an_answer_shows_a_secret() -> None:
    account = opened(Ha1Credential((Ha1(REALM, Algorithm.MD5, Secret("00" * 16)),)))
    outcome = authorize(account, MD5)
    assert "00" * 16 not in f"{account!r}{outcome!r}"
    assert PASSWORD not in f"{opened()!r}"
    assert opened().account == ACCOUNT
