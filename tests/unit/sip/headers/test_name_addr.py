from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import NameAddr, tag_of
from sipis.sip.params import Params
from sipis.sip.uri import SipUri


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ('"A. G. Bell" <sip:a@b;x=1>;tag=t', "A. G. Bell", "sip:a@b;x=1", ";tag=t"),
        ("<sip:a@b> ; tag=t", None, "sip:a@b", ";tag=t"),
        ("caller<sip:a@b>", "caller", "sip:a@b", ""),
        (
            "token1~` token2'+_ token3*%!.- <sip:a@b>",
            "token1~` token2'+_ token3*%!.-",
            "sip:a@b",
            "",
        ),
        ("sip:a@b;tag=t", None, "sip:a@b", ";tag=t"),
        ('sip:a@b;+sip.instance="<urn:x>"', None, "sip:a@b", ';+sip.instance="<urn:x>"'),
        ('"say \\"<hi>\\" \\\\" <tel:+1>', 'say "<hi>" \\', "tel:+1", ""),
        ('""<sip:a@b>', "", "sip:a@b", ""),
        ("Jürgen <sip:a@b>", "Jürgen", "sip:a@b", ""),
        ("a@b.c <sip:a@b>", "a@b.c", "sip:a@b", ""),
    ],
)
def test_both_forms_of_an_address_are_read(
    text: str, display: str | None, uri: str, params: str
) -> None:
    address = NameAddr.parse(text)
    assert (address.display, str(address.uri), str(address.params)) == (display, uri, params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "<sip:a@b",
        "sip:a@b?x=y",
        "sip:a,b@c",
        '"open <sip:a@b>',
        '"x" sip:a@b',
        "<>",
        "<sip:a@b>x",
        "< sip:a@b>",
        "Bell, A <sip:a@b>",
        "sip:a@b;tag=1 <sip:c@d>",
        "<sip:a@b>;;",
    ],
)
def test_ambiguous_and_broken_addresses_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        NameAddr.parse(text)


def test_the_tag_is_found_in_any_case() -> None:
    assert NameAddr.parse("<sip:a@b>;TAG=a+b").tag == "a+b"
    assert NameAddr.parse("<sip:a@b>").tag is None


def test_a_uri_parameter_inside_brackets_is_no_header_parameter() -> None:
    assert NameAddr.parse("<sip:a@b;tag=x>").tag is None


def test_a_list_keeps_its_order() -> None:
    contacts = NameAddr.parse_many('"A, B" <sip:a@b>;q=0.1, <sip:c@d>')
    assert [str(contact.uri) for contact in contacts] == ["sip:a@b", "sip:c@d"]


def test_a_parameter_can_be_set() -> None:
    assert str(NameAddr.parse("<sip:a@b>").with_param("tag", "x")) == "<sip:a@b>;tag=x"


DISPLAYS = st.none() | st.text(st.characters(exclude_characters="\r\n"), max_size=12)


@given(DISPLAYS, st.sampled_from(["x", "a;b,<c>"]), st.booleans())
def test_reading_undoes_writing(display: str | None, value: str, flagged: bool) -> None:
    params = Params((("v", f'"{value}"'), *([("flag", None)] if flagged else [])))
    address = NameAddr(display, SipUri("sip", "a,b;c", None, "h", 5060), params)
    assert NameAddr.parse(str(address)) == address
    assert NameAddr.parse_many(f"{address}, {address}") == [address, address]


@given(st.text('<>";,:@sip \\?=a', max_size=30))
def test_arbitrary_text_is_read_or_blamed_on_the_peer(text: str) -> None:
    try:
        addresses = NameAddr.parse_many(text)
    except RemoteProtocolError:
        return
    assert [NameAddr.parse(str(address)) for address in addresses] == addresses


ADDRESSES = [
    "<sip:a@x>", "<sip:a@x>;tag=1", '"A \xe4" <sip:a@x>;tag=1;x', "A <sips:a@x:5061;lr>;x=1;TAG=2",
    "<sip:a@x>;tag=", "<sip:a@x>;tag", "<sip:a@x>;tags=1;tag=2", "<sip:a@x>;x;tag", "sip:a@x;tag=3",
    '<sip:a@x>;tag="4"', "<tel:+49>;tag=5", "<sip:a@[::1]>;tag=6", "<sip:@x>;tag=7", "<sip:a@x;=b>",
    "<sip:a@x:70000>;tag=8", "<sip:a@x>;;tag=9", "<sip:a@x>;=;tag=9", "<sip:a@x> ;tag=10", "A",
    "<sip:a@x>" + ";a" * 65, "<sip:a@x" + ";a" * 65 + ">", "<sip:a@x" + ";a" * 40 + ">" + ";b" * 40,
]  # fmt: skip


def outcome(read: Callable[[str], object], text: str) -> object:
    try:
        return read(text)
    except RemoteProtocolError:
        return "refused"


@given(st.sampled_from(ADDRESSES), st.integers(0, 40), st.text('<>"sip:@x;tag=1, [].', max_size=4))
def test_the_tag_alone_is_what_it_is_in_the_whole_and_refused_with_it(
    address: str, place: int, noise: str
) -> None:
    for text in (address, address[:place] + noise + address[place:]):
        assert outcome(tag_of, text) == outcome(lambda one: NameAddr.parse(one).tag, text)
