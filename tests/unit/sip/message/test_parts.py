import pytest

from sipis.errors import RemoteProtocolError
from sipis.sip.message import Headers, Request
from sipis.sip.message.parts import Every, IfPresent, Mandatory


class Bottle:
    """Something with headers whose readings can be counted."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.headers = Headers(pairs)

    label = Mandatory("label", lambda text: [text])
    year = IfPresent("year", int)
    grapes = Every("grapes", str.upper)


def test_a_part_is_read_once_until_its_header_changes() -> None:
    bottle = Bottle(("Label", "red"), ("Year", "0"))
    first = bottle.label
    bottle.headers.set("Year", "7")
    assert bottle.label is first
    bottle.headers.set("LABEL", "white")
    assert bottle.label == ["white"]


def test_a_part_that_reads_as_nothing_is_not_read_again() -> None:
    request = Request.build("BYE", "sip:a@b", [("To", "<sip:a@b>")])
    assert request.to_tag is None
    assert [*request.headers.kept.values()] == [None]


def test_a_mandatory_part_is_missed_and_another_is_none() -> None:
    bottle = Bottle()
    assert bottle.year is None
    assert not bottle.grapes
    with pytest.raises(RemoteProtocolError, match="no label header"):
        _ = bottle.label
    bottle.headers.add("Year", "1999")
    assert bottle.year == 1999


def test_every_value_is_read_out_of_lists_and_lines() -> None:
    bottle = Bottle(("Grapes", "merlot, malbec"), ("Grapes", "syrah"))
    assert bottle.grapes == ("MERLOT", "MALBEC", "SYRAH")
    bottle.headers.remove("Grapes")
    assert not bottle.grapes
