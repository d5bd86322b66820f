"""Why a call ended."""

import pytest

from sipis.model import CallState
from sipis.relay.reason import ending_of, reasons_of
from sipis.sip.message import Request


@pytest.mark.parametrize(
    ("lines", "ending"),
    [
        ((), CallState.CANCELLED),
        (('SIP ;cause=200 ;text="Call completed elsewhere"',), CallState.ELSEWHERE),
        (("sip;cause=200",), CallState.ELSEWHERE),
        (("Q.850;cause=26",), CallState.ELSEWHERE),
        (("SIP;cause=600",), CallState.DECLINED),
        (("SIP;cause=603",), CallState.DECLINED),
        (("Q.850;cause=16",), CallState.CANCELLED),
        (("SIP;cause=487, Q.850;cause=26",), CallState.ELSEWHERE),
        (("Q.850;cause=16", "SIP;cause=200"), CallState.ELSEWHERE),
        (("@@@", "SIP;cause=200"), CallState.ELSEWHERE),
        (("SIP",), CallState.CANCELLED),
    ],
)
def test_the_reason_names_how_it_ended(lines: tuple[str, ...], ending: CallState) -> None:
    cancel = Request.build("CANCEL", "sip:a@b", [("Reason", line) for line in lines])
    assert ending_of(cancel) is ending


def test_what_cannot_be_read_is_left_out() -> None:
    lines = [("Reason", "@@@"), ("Reason", "SIP;cause=200")]
    assert len(reasons_of(Request.build("CANCEL", "sip:a@b", lines))) == 1
