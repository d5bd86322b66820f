import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.grammar import (
    first_value,
    format_hostport,
    is_token,
    parse_hostport,
    parse_number,
    quote,
    split_list,
    split_params,
    unquote,
)
from sipis.sip.limits import MAX_VALUES


def test_commas_in_quotes_and_brackets_do_not_split_a_list() -> None:
    text = '"Bell, A" <sip:a,b@example.com>, <sip:c@example.com>;x="1,\\",2" ,'
    assert split_list(text) == [
        '"Bell, A" <sip:a,b@example.com>',
        '<sip:c@example.com>;x="1,\\",2"',
    ]


@pytest.mark.parametrize("text", ['"open', 'a, "open', "<sip:a", 'a, b"c, d', '"x\\"'])
def test_an_open_quote_or_bracket_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        split_list(text + ",")


@pytest.mark.parametrize("value", ["a", "<>", '""'])
def test_a_list_longer_than_the_limit_is_refused(value: str) -> None:
    assert len(split_list(",".join([value] * MAX_VALUES))) == MAX_VALUES
    with pytest.raises(RemoteProtocolError):
        split_list(",".join([value] * (MAX_VALUES + 1)))


def test_the_first_value_stops_at_the_first_separating_comma() -> None:
    assert first_value('<sip:a,b>;x="," , "open') == '<sip:a,b>;x=","'


def test_semicolons_in_quotes_do_not_split_parameters() -> None:
    assert split_params(';a="x;y";b') == ["", 'a="x;y"', "b"]


@given(st.text())
def test_unquoting_undoes_quoting(text: str) -> None:
    assert unquote(quote(text)) == text


@given(st.text(max_size=30))
def test_splitting_arbitrary_text_either_works_or_blames_the_peer(text: str) -> None:
    try:
        values = split_list(text)
    except RemoteProtocolError:
        return
    assert all(value and value == value.strip() for value in values)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("0070", 70), ("255", 255), ("0" * 9000 + "7", 7)],
)
def test_plain_digits_within_the_bound_are_a_number(text: str, number: int) -> None:
    assert parse_number(text, 255) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "٣", "²", "256", "9" * 9000])
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text, 255) is None


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.com", "example.com", None),
        ("kamailio1:5060", "kamailio1", 5060),
        ("under_score : 65535", "under_score", 65535),
        ("[2001:db8::9]:1", "2001:db8::9", 1),
        ("[::ffff:192.0.2.1]", "::ffff:192.0.2.1", None),
    ],
)
def test_a_host_is_read_with_its_port(text: str, host: str, port: int | None) -> None:
    assert parse_hostport(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5060",
        "a:0",
        "a:65536",
        "a:70000",
        "a:",
        "a:-1",
        "a:x",
        "[::1",
        "[::g]",
        "[::1]x:1",
        "a b",
        "a\x00",
        "ü",
        "2001:db8::9",
        "a@b",
    ],
)
def test_a_bad_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_hostport(text)


def test_brackets_come_back_around_an_ipv6_address() -> None:
    assert format_hostport("2001:db8::9", 5061) == "[2001:db8::9]:5061"
    assert format_hostport("192.0.2.1", None) == "192.0.2.1"


def test_tokens_know_their_letters() -> None:
    assert is_token("!-.!%*_+`'~az09")
    assert not any(is_token(text) for text in ("", "a b", "a/b", "é", "a:"))
