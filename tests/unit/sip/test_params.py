import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.limits import MAX_PARAMS
from sipis.sip.params import Params

INSTANCE = '"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'


def test_names_are_found_in_any_case_and_kept_as_written() -> None:
    params = Params.parse(";TAG=a+b;LR")
    assert params.get("tag") == "a+b"
    assert "lr" in params
    assert str(params) == ";TAG=a+b;LR"


def test_a_flag_is_empty_text_and_an_absent_parameter_is_none() -> None:
    params = Params.parse(";rport;x=")
    assert (params.get("rport"), params.get("x"), params.get("y")) == ("", "", None)
    assert str(params) == ";rport;x="


def test_quotes_stay_in_the_items_and_leave_the_value() -> None:
    params = Params.parse(f";+sip.instance={INSTANCE};expires=60")
    assert params.get("+SIP.instance") == INSTANCE.strip('"')
    assert params.items[0] == ("+sip.instance", INSTANCE)


def test_spaces_around_separators_are_dropped() -> None:
    assert Params.parse(" ; a = 1 ;\tb").items == (("a", "1"), ("b", None))


def test_setting_replaces_in_place_or_appends() -> None:
    params = Params.parse(";rport;branch=z")
    assert str(params.with_("RPORT", "5060")) == ";rport=5060;branch=z"
    assert str(params.with_("received", "192.0.2.1")) == ";rport;branch=z;received=192.0.2.1"


def test_removing_knows_no_case() -> None:
    assert str(Params.parse(";A=1;b").without("a")) == ";b"


@pytest.mark.parametrize("text", ["x;a", ";;", ";", ";=1", ';a="open', ";a b=1"])
def test_bad_parameters_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Params.parse(text)


def test_more_parameters_than_the_limit_are_refused() -> None:
    assert len(Params.parse(";a" * MAX_PARAMS).items) == MAX_PARAMS
    with pytest.raises(RemoteProtocolError):
        Params.parse(";a" * (MAX_PARAMS + 1))


NAMES = st.text("abcXYZ019+.-%", min_size=1, max_size=8)
VALUES = st.none() | st.text("abc019%+/[]:\"'", max_size=8).map(lambda text: text.replace('"', ""))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_reading_undoes_writing(items: list[tuple[str, str | None]]) -> None:
    params = Params(tuple(items))
    assert Params.parse(str(params)) == params


TEXTS = [
    ";tag=1;x",
    ";x;TAG=2",
    ";tag=",
    ";tag",
    ";tags=1;tag=2;tag=3",
    ' ; tag = "4"',
    ";a=b=c",
    "",
]


@given(st.sampled_from(TEXTS), st.integers(0, 10), st.text('tag;="x ', max_size=3))
def test_looking_up_in_the_text_gives_what_the_pairs_say(text: str, place: int, noise: str) -> None:
    try:
        params = Params.parse(text[:place] + noise + text[place:])
    except RemoteProtocolError:
        return
    pairs = Params(params.items)
    for name in ("tag", "Tag", "x", "a"):
        assert params.get(name) == pairs.get(name)
    assert (params, hash(params), repr(params)) == (pairs, hash(pairs), repr(pairs))
    assert str(params) == str(pairs)


def test_parameters_of_the_usual_form_are_counted_too() -> None:
    with pytest.raises(RemoteProtocolError):
        Params.parse(";a" * (MAX_PARAMS + 1))


def test_parameters_with_quotes_are_counted_too() -> None:
    Params.parse(';a="1"' * MAX_PARAMS)
    with pytest.raises(RemoteProtocolError):
        Params.parse(';a="1"' * (MAX_PARAMS + 1))


def test_parameters_are_no_tuple() -> None:
    assert Params.parse(";a") != (("a", None),)
