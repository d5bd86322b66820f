"""Names of dialogs inside headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.relay.replaces import DialogName, translated_refer

OURS = DialogName("ours@here", "t", "f")
THEIRS = DialogName("theirs@there", "t2", "f2")


def lookup(name: DialogName) -> DialogName | None:
    return THEIRS if name == OURS else None


@pytest.mark.parametrize("text", ["", "id", "id;to-tag=a", ";to-tag=a;from-tag=b", "id;to-tag=;x"])
def test_a_broken_name_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        DialogName.parse(text)


TOKEN = st.from_regex(r"[A-Za-z0-9.@-]{1,20}", fullmatch=True)


@given(TOKEN, TOKEN, TOKEN, st.booleans())
def test_a_name_survives_writing_and_reading(call: str, to: str, from_: str, early: bool) -> None:
    name = DialogName(call, to.replace("@", ""), from_.replace("@", ""), early)
    if name.to_tag and name.from_tag:
        assert DialogName.parse(str(name)) == name


def test_a_name_of_ours_is_translated_inside_refer_to() -> None:
    refer = "<sip:c@x?Replaces=ours%40here%3Bto-tag%3Dt%3Bfrom-tag%3Df&Require=replaces>"
    assert translated_refer(refer, lookup) == (
        "<sip:c@x?Replaces=theirs%40there%3Bto-tag%3Dt2%3Bfrom-tag%3Df2&Require=replaces>"
    )


@pytest.mark.parametrize(
    "refer",
    [
        "<sip:c@x>",
        "sip:c@x",
        "<sip:c@x?Replaces=other%3Bto-tag%3Dt%3Bfrom-tag%3Df>",
        "<sip:c@x?Replaces=broken>",
        "<tel:+4930>",
        "<<<",
    ],
)
def test_everything_else_crosses_as_it_is(refer: str) -> None:
    assert translated_refer(refer, lookup) == refer
