"""One spelling for each thing that is looked up."""

from sipis.model import PushService, PushTarget, TargetKind
from sipis.relay.names import aor_name, target_name
from sipis.sip.uri import parse_uri


def test_an_address_of_record_is_one_whatever_surrounds_it() -> None:
    spellings = ("sip:alice@Example.org", "sips:alice@example.org:5061;transport=tcp")
    assert {aor_name(parse_uri(text)) for text in spellings} == {"aor:alice@example.org"}


def test_the_user_part_keeps_its_case() -> None:
    assert aor_name(parse_uri("sip:Alice@x")) != aor_name(parse_uri("sip:alice@x"))


def test_an_escaped_user_is_the_user_it_stands_for() -> None:
    assert aor_name(parse_uri("sip:%61lice@x")) == "aor:alice@x"


def test_one_token_of_two_kinds_is_two_targets() -> None:
    kinds = (TargetKind.VOIP, TargetKind.ALERT)
    names = {target_name(PushTarget(PushService.APNS, kind, "00ff")) for kind in kinds}
    assert len(names) == 2
