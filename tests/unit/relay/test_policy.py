"""Whose word counts."""

from sipis.config import parse
from sipis.relay.policy import policy_for


def test_the_provider_goes_before_the_app_before_the_general_word() -> None:
    settings = parse(
        {
            "policy": {"ring": "now", "decline_status": 603, "react_timeout": 11},
            "apps": {"phone": {"ring": "device", "no_answer_status": 408, "answer_timeout": 33}},
            "providers": {"p.example": {"ring": "push-accepted", "no_answer_status": 404}},
        }
    )
    policy = policy_for(settings, "phone", "p.example")
    assert (policy.ring, policy.no_answer_status, policy.decline_status) == (
        "push-accepted",
        404,
        603,
    )
    assert (policy.react_timeout, policy.answer_timeout) == (11, 33)
    assert policy_for(settings, "phone", "other.example").ring == "device"
    assert policy_for(settings, "unknown", "other.example").ring == "now"


def test_the_progress_headers_can_be_switched_off() -> None:
    assert not policy_for(parse({"sip": {"progress_headers": False}}), "a", "b").progress
