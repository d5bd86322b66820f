"""The app's door: no way to spend anybody's money."""

import pytest

from tests.support.relay import House, turns
from tests.support.sip_peers import Handset


def ask(handset: Handset, method: str, to: str = "<sip:+491900@provider.example>") -> None:
    own = [
        ("From", "<sip:app@sipis>;tag=a"),
        ("To", to),
        ("Call-ID", f"{method}-1"),
        ("CSeq", f"7 {method}"),
        ("Contact", f"<sip:app@{handset.hostport}>"),
    ]
    handset.request(method, "sip:+491900@provider.example", own)


@pytest.mark.parametrize(
    ("method", "status"),
    [("INVITE", 603), ("REFER", 603), ("SUBSCRIBE", 405), ("MESSAGE", 405), ("OPTIONS", 200)],
)
async def test_an_app_reaches_nobody_through_us(house: House, method: str, status: int) -> None:
    phone = await house.enable()
    handset = await house.handset(phone.n)
    await handset.register()
    ask(handset, method)
    await handset.response(status)


async def test_over_udp_a_stranger_hears_nothing(house: House) -> None:
    phone = await house.enable()
    handset = await house.handset(phone.n)
    ask(handset, "OPTIONS")
    await turns()
    assert await handset.silence()


async def test_a_dialog_that_is_not_there_is_481(house: House) -> None:
    phone = await house.enable()
    handset = await house.handset(phone.n)
    await handset.register()
    ask(handset, "BYE", "<sip:x@y>;tag=guess")
    await handset.response(481)
