"""What a request is for, as far as it says so itself."""

import pytest

from sipis.relay.admission import addressees, contact_tokens, instance_named_by, is_token
from sipis.sip.message import Request
from sipis.sip.uri import parse_uri

TOKEN, LINE = "ab" * 16, "cd" * 16


def invite(uri: str, *, branch: str = "z9hG4bK1", called: str = "") -> Request:
    headers = [
        ("Via", f"SIP/2.0/UDP 192.0.2.1;branch={branch}"),
        ("From", "<sip:carol@provider.example>;tag=1"),
        ("To", "<sip:alice@provider.example>"),
        ("Call-ID", "call"),
        ("CSeq", "1 INVITE"),
        *([("P-Called-Party-ID", called)] if called else []),
    ]
    return Request.build("INVITE", uri, headers)


@pytest.mark.parametrize(
    ("uri", "tokens"),
    [
        (f"sip:{TOKEN}@192.0.2.9", [TOKEN]),
        (f"sip:0190@192.0.2.9;line={LINE}", [LINE]),
        (f"sip:{TOKEN}@192.0.2.9;line={LINE}", [TOKEN, LINE]),
        ("sip:alice@192.0.2.9", []),
        ("tel:+49301234", []),
    ],
)
def test_the_user_part_of_our_contact_goes_before_its_line(uri: str, tokens: list[str]) -> None:
    assert contact_tokens(invite(uri)) == tokens


@pytest.mark.parametrize("text", ["", "ab", "AB" * 16, "xy" * 16, "ab" * 17])
def test_what_is_no_name_of_ours_costs_no_look_up(text: str) -> None:
    assert not is_token(text)


def test_forks_to_two_contacts_are_no_merged_request_and_two_ways_to_one_are() -> None:
    one, other = f"sip:{TOKEN}@192.0.2.9", f"sip:{LINE}@192.0.2.9"
    assert instance_named_by(invite(one)) != instance_named_by(invite(other))
    assert instance_named_by(invite(one)) == instance_named_by(invite(one, branch="z9hG4bK2"))


def test_a_request_that_names_none_of_our_contacts_is_merged_with_no_other() -> None:
    first, second = (invite("sip:alice@192.0.2.9", branch=it) for it in ("z9hG4bK1", "z9hG4bK2"))
    assert instance_named_by(first) != instance_named_by(second)


def test_the_called_party_goes_before_to_and_request_uri() -> None:
    request = invite("sip:x@192.0.2.9", called="<sip:bob@provider.example>")
    named = [str(uri) for uri in addressees(request)]
    assert named == ["sip:bob@provider.example", "sip:alice@provider.example", "sip:x@192.0.2.9"]
    broken = invite("sip:x@192.0.2.9", called="<<")
    assert addressees(broken)[0] == parse_uri("sip:alice@provider.example")
