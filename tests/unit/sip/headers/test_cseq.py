import pytest

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import CSeq


def test_number_and_method_are_read_across_odd_spaces() -> None:
    assert CSeq.parse("0009\t INVITE") == CSeq(9, "INVITE")
    assert str(CSeq(2**31 - 1, "BYE")) == "2147483647 BYE"


def test_the_case_of_the_method_matters() -> None:
    assert CSeq.parse("1 invite") != CSeq.parse("1 INVITE")


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE 1", "1 INVITE x", "2147483648 INVITE", "-1 BYE", "1 BY/E", "9" * 5000]
)
def test_a_broken_cseq_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        CSeq.parse(text)
