import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.sip.limits import MAX_VALUES
from sipis.sip.message import Headers


def test_names_match_in_any_case_and_in_compact_form() -> None:
    headers = Headers.from_lines(["v: one", "VIA:two", "X-Own : three"])
    assert headers.get_all("Via") == ["one", "two"]
    assert headers.get("V") == "one"
    assert headers.get("x-own") == "three"
    assert "via" in headers
    assert "To" not in headers
    assert list(headers) == [("v", "one"), ("VIA", "two"), ("X-Own", "three")]


def test_folded_values_unfold_for_reading_and_stay_folded_in_their_line() -> None:
    line = "Subject:\r\n  I know \t\r\n\tyou're there "
    headers = Headers.from_lines([line])
    assert headers.get("s") == "I know you're there"
    assert headers.lines() == [line]


def test_an_absent_header_reads_as_nothing() -> None:
    headers = Headers()
    assert headers.get("To") is None
    assert headers.get_all("To") == []
    assert headers.get_list("To") == []


def test_lists_come_apart_across_lines() -> None:
    headers = Headers([("Allow", "INVITE, ACK"), ("allow", "BYE"), ("Supported", "")])
    assert headers.get_list("Allow") == ["INVITE", "ACK", "BYE"]
    assert headers.get_list("k") == []


def test_too_many_values_over_several_lines_are_refused() -> None:
    half = ",".join(["a"] * (MAX_VALUES // 2 + 1))
    with pytest.raises(RemoteProtocolError):
        Headers([("Allow", half), ("Allow", half)]).get_list("Allow")


def test_setting_replaces_all_at_the_place_of_the_first() -> None:
    headers = Headers([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")])
    headers.set("A", "5")
    headers.set("D", "6")
    assert list(headers) == [("A", "5"), ("B", "2"), ("C", "4"), ("D", "6")]


def test_setting_the_first_keeps_the_rest_of_its_list() -> None:
    headers = Headers([("X", "0"), ("v", 'one;x="," , two'), ("Via", "three")])
    headers.set_first("Via", "ONE")
    assert headers.get_list("Via") == ["ONE", "two", "three"]
    headers.set_first("Route", "new")
    assert next(iter(headers)) == ("Route", "new")


def test_prepending_adding_and_removing_keep_the_order() -> None:
    headers = Headers([("Via", "2"), ("To", "x")])
    headers.prepend("Via", "1")
    headers.add("Via", "3")
    assert headers.get_all("v") == ["1", "2", "3"]
    headers.remove("VIA")
    headers.remove("VIA")
    assert list(headers) == [("To", "x")]
    assert len(headers) == 1


def test_a_copy_lives_on_its_own() -> None:
    headers = Headers([("A", "1")])
    copy = headers.copy()
    copy.set("A", "2")
    assert (headers.get("A"), copy.get("A")) == ("1", "2")


def test_repeated_names_are_known() -> None:
    names = frozenset({"from", "to"})
    assert Headers([("From", "1"), ("f", "2"), ("To", "3")]).repeated(names) == {"from"}
    assert Headers([("From", "1"), ("To", "3"), ("X", "4"), ("X", "5")]).repeated(names) == set()


@pytest.mark.parametrize("value", ["a\r\nEvil: 1", "a\n", "\r", "a\0b"])
@pytest.mark.parametrize("change", ["add", "prepend", "set"])
def test_a_line_break_or_nul_in_a_new_value_is_our_fault(change: str, value: str) -> None:
    headers = Headers()
    with pytest.raises(LocalProtocolError):
        getattr(headers, change)("Subject", value)
    assert len(headers) == 0


@pytest.mark.parametrize("name", ["", "a b", "a:", "Ä", "a\r\n"])
def test_a_new_name_that_is_no_token_is_our_fault(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        Headers([(name, "x")])


@pytest.mark.parametrize("line", ["no colon", ": x", " Via: x", "a b: c", "\xff: x", ""])
def test_a_line_without_a_proper_name_is_the_peers_fault(line: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Headers.from_lines([line])


@given(st.lists(st.tuples(st.text("aAvVxX-", min_size=1, max_size=3), st.text("abc ,:"))))
def test_lines_read_back_as_they_were_written(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    again = Headers.from_lines(headers.lines())
    assert list(again) == list(headers)
    assert again.lines() == headers.lines()
