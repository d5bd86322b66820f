import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import quote
from sipis.sip.headers import Challenge, Credentials
from sipis.sip.params import Params


def test_commas_part_both_parameters_and_challenges() -> None:
    text = 'Digest realm="a, b", nonce="x", qop="auth,auth-int" , NTLM, Digest realm = "c",nonce=y'
    first, second, third = Challenge.parse_many(text)
    assert (first.scheme, first.params.get("realm")) == ("Digest", "a, b")
    assert first.params.get("QOP") == "auth,auth-int"
    assert second == Challenge("NTLM")
    assert (third.params.get("realm"), third.params.get("nonce")) == ("c", "y")


def test_a_quoted_quote_ends_no_realm() -> None:
    challenge = Challenge.parse('Digest realm="say \\"hi, Digest x=1\\"", nonce="n"')
    assert challenge.params.get("realm") == 'say "hi, Digest x=1"'


def test_values_leave_as_they_came() -> None:
    text = 'Digest username="bob", algorithm=MD5, nc=00000001, opaque=""'
    assert str(Credentials.parse(text)) == text


def test_an_unknown_scheme_is_read() -> None:
    value = Credentials.parse("NoOneKnowsThisScheme opaque-data=here")
    assert (value.scheme, value.params.get("opaque-data")) == ("NoOneKnowsThisScheme", "here")


def test_token68_data_survives() -> None:
    assert str(Challenge.parse("Negotiate YWJj==")) == "Negotiate YWJj=="


@pytest.mark.parametrize(
    "text", ["", 'realm="x"', "Digest a b=c", '"Digest" a=b', 'Digest realm="x', "Digest , =x"]
)
def test_broken_values_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Challenge.parse(text)


def test_two_credentials_in_one_header_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        Credentials.parse("Digest a=b, Digest c=d")


NAMES = st.text("abcXYZ-", min_size=1, max_size=6)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")).map(quote)


@given(st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=5), min_size=1, max_size=3))
def test_reading_undoes_writing(many: list[list[tuple[str, str | None]]]) -> None:
    challenges = [Challenge("Digest", Params(tuple(items))) for items in many]
    assert Challenge.parse_many(", ".join(map(str, challenges))) == challenges


@given(st.text('Digest ="\\,ab', max_size=30))
def test_arbitrary_text_is_read_or_blamed_on_the_peer(text: str) -> None:
    try:
        challenges = Challenge.parse_many(text)
    except RemoteProtocolError:
        return
    assert Challenge.parse_many(", ".join(map(str, challenges))) == challenges
