import pytest

from sipis.model import PushEvent, PushService, PushTarget, TargetKind
from sipis.push.provider import AddressedTarget
from sipis.push.routes import LIFETIME, choose, may_carry


def addressed(kind: TargetKind) -> AddressedTarget:
    apns = kind in {TargetKind.VOIP, TargetKind.ALERT}
    service = PushService.APNS if apns else PushService.FCM
    return AddressedTarget(1, 0, PushTarget(service, kind, kind.value), 0.0)


VOIP, ALERT, TOKEN = map(addressed, (TargetKind.VOIP, TargetKind.ALERT, TargetKind.TOKEN))
OTHERS = [event for event in PushEvent if event is not PushEvent.CALL]


def test_a_call_prefers_voip_and_keeps_alert_to_fall_back_on() -> None:
    assert choose(PushEvent.CALL, [ALERT, VOIP, TOKEN]) == ((TOKEN, VOIP), (ALERT,))


def test_a_call_rings_by_alert_where_there_is_no_voip_token() -> None:
    assert choose(PushEvent.CALL, [ALERT]) == ((ALERT,), ())


@pytest.mark.parametrize("event", OTHERS)
def test_no_other_event_ever_goes_to_a_voip_token(event: PushEvent) -> None:
    assert choose(event, [VOIP, ALERT, TOKEN]) == ((TOKEN, ALERT), ())
    assert not may_carry(event, VOIP.target)
    assert may_carry(PushEvent.CALL, VOIP.target)


def test_every_event_has_a_lifetime_and_a_call_has_none() -> None:
    assert set(LIFETIME) == set(PushEvent)
    assert [event for event, seconds in LIFETIME.items() if seconds == 0] == [PushEvent.CALL]
