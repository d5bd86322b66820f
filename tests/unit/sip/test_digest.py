import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.sip.digest import (
    Algorithm,
    DigestChallenge,
    answer,
    check,
    choose,
    ha1,
    new_challenge,
    read_challenges,
)
from sipis.sip.headers import Challenge, Credentials
from sipis.sip.message import Response

MUFASA_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
MUFASA_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
MUFASA_OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def read_one(text: str) -> DigestChallenge | None:
    return DigestChallenge.from_challenge(Challenge.parse(text), proxy=False)


def answered(
    challenge: DigestChallenge, *, password: str = "secret", body: bytes = b"", count: int = 1
) -> Credentials:
    key = ha1(challenge.algorithm, "bob", challenge.realm, password)
    qop = challenge.preferred_qop
    return Credentials.parse(
        answer(
            challenge,
            user="bob",
            ha1_hex=key,
            method="REGISTER",
            uri="sip:example.com",
            body=body,
            cnonce="c0ffee",
            nonce_count=count,
            qop=qop,
        )
    )


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        (Algorithm.MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm.SHA256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ],
)
def test_the_first_vector_of_rfc_7616_is_met(algorithm: Algorithm, response: str) -> None:
    challenge = read_one(
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},'
        f' nonce="{MUFASA_NONCE}", opaque="{MUFASA_OPAQUE}"'
    )
    assert challenge is not None
    value = answer(
        challenge,
        user="Mufasa",
        ha1_hex=ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life"),
        method="GET",
        uri="/dir/index.html",
        cnonce=MUFASA_CNONCE,
        nonce_count=1,
        qop="auth",
    )
    assert value == (
        f'Digest username="Mufasa", realm="http-auth@example.org", nonce="{MUFASA_NONCE}",'
        f' uri="/dir/index.html", response="{response}", algorithm={algorithm},'
        f' cnonce="{MUFASA_CNONCE}", qop=auth, nc=00000001, opaque="{MUFASA_OPAQUE}"'
    )


def test_the_second_vector_of_rfc_7616_is_met_as_corrected_by_its_erratum() -> None:
    # The printed values were made with a cut SHA-512; erratum 4897 gives these.
    challenge = DigestChallenge(
        realm="api@example.org",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        algorithm=Algorithm.SHA512_256,
        qop=("auth",),
        userhash=True,
    )
    user = "J\u00e4s\u00f8n Doe"
    value = answer(
        challenge,
        user=user,
        ha1_hex=ha1(challenge.algorithm, user, challenge.realm, "Secret, or not?"),
        method="GET",
        uri="/doe.json",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        nonce_count=1,
        qop="auth",
    )
    params = Credentials.parse(value).params
    assert params.get("userhash") == "true"
    assert params.get("username") == (
        "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    )
    assert params.get("response") == (
        "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    )


def test_the_vector_of_rfc_2617_without_qop_is_built_from_three_parts() -> None:
    challenge = DigestChallenge("r", "n")
    key = ha1(Algorithm.MD5, "bob", "r", "secret")
    request = hashlib.md5(b"REGISTER:sip:example.com").hexdigest()
    expected = hashlib.md5(f"{key}:n:{request}".encode()).hexdigest()
    params = answered(challenge).params
    assert params.get("response") == expected
    assert "qop" not in params
    assert "nc" not in params
    assert "cnonce" not in params


def test_a_session_key_binds_the_first_nonce_and_cnonce() -> None:
    challenge = DigestChallenge("r", "n", Algorithm.SHA256_SESS, ("auth",))

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    key = digest(f"{digest('bob:r:secret')}:n:c0ffee")
    request = digest("REGISTER:sip:example.com")
    params = answered(challenge).params
    assert params.get("response") == digest(f"{key}:n:00000001:c0ffee:auth:{request}")
    assert params.get("algorithm") == "SHA-256-sess"


def test_auth_int_covers_the_body() -> None:
    challenge = DigestChallenge("r", "n", qop=("auth-int",))
    credentials = answered(challenge, body=b"hello")
    key = ha1(Algorithm.MD5, "bob", "r", "secret")
    assert check(credentials, ha1_hex=key, method="REGISTER", body=b"hello")
    assert not check(credentials, ha1_hex=key, method="REGISTER", body=b"hellO")


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("qop", [(), ("auth",), ("auth-int",), ("auth", "auth-int")])
def test_every_answer_checks_and_no_other_secret_does(
    algorithm: Algorithm, qop: tuple[str, ...]
) -> None:
    credentials = answered(DigestChallenge("r", "n", algorithm, qop, opaque=""))
    right, wrong = (ha1(algorithm, "bob", "r", word) for word in ("secret", "Secret"))
    assert check(credentials, ha1_hex=right, method="REGISTER")
    assert not check(credentials, ha1_hex=wrong, method="REGISTER")
    assert not check(credentials, ha1_hex=right, method="INVITE")


def test_the_stored_secret_is_the_same_with_and_without_session() -> None:
    assert ha1(Algorithm.MD5_SESS, "a", "b", "c") == ha1(Algorithm.MD5, "a", "b", "c")


def test_the_nonce_count_is_eight_hex_digits() -> None:
    credentials = answered(DigestChallenge("r", "n", qop=("auth",)), count=0x1AB)
    assert credentials.params.get("nc") == "000001ab"


@pytest.mark.parametrize("written", ["SHA-256", '"SHA-256"', "sha-256"])
def test_an_algorithm_is_read_quoted_or_not_in_any_case(written: str) -> None:
    challenge = read_one(f'Digest realm="r", nonce="n", algorithm={written}')
    assert challenge is not None
    assert challenge.algorithm is Algorithm.SHA256


def test_a_challenge_is_read_with_all_its_flags() -> None:
    text = 'dIgEsT realm="",nonce="n",qop=auth-int,opaque="",STALE=TRUE,userhash="true"'
    assert read_one(text) == DigestChallenge(
        "", "n", qop=("auth-int",), opaque="", stale=True, userhash=True
    )


@pytest.mark.parametrize(
    "text",
    [
        'Basic realm="r", nonce="n"',
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", nonce="n", algorithm=AKAv1-MD5',
        'Digest realm="r", nonce="n", qop="auth-conf"',
    ],
)
def test_what_we_cannot_answer_is_no_challenge(text: str) -> None:
    assert read_one(text) is None


def test_the_topmost_challenge_that_we_know_is_chosen_across_headers() -> None:
    response = Response.build(
        401,
        headers=[
            ("WWW-Authenticate", 'Digest realm="broken'),
            ("WWW-Authenticate", 'Digest realm="r", nonce="1", algorithm=SHA-3, NTLM'),
            (
                "WWW-Authenticate",
                'Digest realm="r", nonce="2", algorithm=SHA-256, Digest realm="r", nonce="3"',
            ),
            ("Proxy-Authenticate", 'Digest realm="p", nonce="4"'),
        ],
    )
    challenges = read_challenges(response)
    assert [(c.nonce, c.proxy) for c in challenges] == [("2", False), ("3", False), ("4", True)]
    assert choose(challenges) == challenges[0]
    assert choose([]) is None


def test_our_own_challenge_reads_back() -> None:
    text = new_challenge('a "quoted" realm', "n", Algorithm.SHA512_256, stale=True)
    assert read_one(text) == DigestChallenge(
        'a "quoted" realm', "n", Algorithm.SHA512_256, ("auth",), stale=True
    )
    assert read_one(new_challenge("r", "n", Algorithm.MD5, qop="")) == DigestChallenge("r", "n")


@pytest.mark.parametrize(
    "text",
    [
        'Basic username="bob"',
        'Digest username="bob", realm="r"',
        'Digest uri="sip:example.com", nonce="n", qop=other, response="x"',
        'Digest uri="sip:example.com", nonce="n", algorithm=SHA-3, response="x"',
        'Digest uri="sip:example.com", nonce="n"',
        'Digest uri="sip:example.com", nonce="n", response="ü"',
    ],
)
def test_incomplete_credentials_prove_nothing(text: str) -> None:
    key = ha1(Algorithm.MD5, "bob", "r", "secret")
    assert not check(Credentials.parse(text), ha1_hex=key, method="REGISTER")


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12)


@given(WORDS, WORDS.filter(bool), st.none() | WORDS, st.sampled_from(Algorithm))
def test_any_realm_nonce_and_opaque_survive_the_answer(
    realm: str, nonce: str, opaque: str | None, algorithm: Algorithm
) -> None:
    credentials = answered(DigestChallenge(realm, nonce, algorithm, ("auth",), opaque))
    params = credentials.params
    assert (params.get("realm"), params.get("nonce")) == (realm, nonce)
    assert params.get("opaque") == opaque
    key = ha1(algorithm, "bob", realm, "secret")
    assert check(credentials, ha1_hex=key, method="REGISTER")
