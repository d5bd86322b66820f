"""What crosses from leg to leg."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.relay.headers import HEADERS, OPTION_TAGS, Rule, body_for, carried, unsupported
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.message import Headers, Request, Response, parse_message

UDP = Flow(1, Door.APP, Transport.UDP, ("127.0.0.1", 1), ("127.0.0.1", 2))
TLS = Flow(2, Door.APP, Transport.TLS, ("127.0.0.1", 1), ("127.0.0.1", 2))
KEYS = b"v=0\r\nm=audio 1 RTP/SAVP 0\r\na=crypto:1 X inline:secret\r\na=sendrecv\r\n"


def request(*headers: tuple[str, str], body: bytes = b"") -> Request:
    return Request.build("INVITE", "sip:a@b", headers, body)


@pytest.mark.parametrize("name", [name for name, rule in HEADERS.items() if rule is not Rule.PASS])
def test_what_is_ours_or_dangerous_stays_behind(name: str) -> None:
    assert list(carried(request((name, "value")))) == []


@pytest.mark.parametrize("compact", ["f", "t", "i", "m", "v", "l", "u"])
def test_compact_names_are_known(compact: str) -> None:
    assert list(carried(request((compact, "value")))) == []


def test_unknown_headers_cross_byte_for_byte_and_in_order() -> None:
    headers = [("X-One", 'a="b;c" , d'), ("Reason", "SIP;cause=200"), ("x-One", "second")]
    assert list(carried(request(*headers))) == headers


@pytest.mark.parametrize("name", ["X-Sipis-Push-Status", "x-sipis-anything"])
def test_headers_of_our_own_name_are_not_taken_from_others(name: str) -> None:
    assert list(carried(request((name, "forged")))) == []


@pytest.mark.parametrize(("tag", "rule"), OPTION_TAGS.items())
def test_each_option_tag_follows_its_rule(tag: str, rule: Rule) -> None:
    message = request(("Supported", tag.upper()), ("Require", tag))
    assert ("Require", tag) in carried(message) or rule is not Rule.PASS
    assert unsupported(message) == ([] if rule is Rule.PASS else [tag])


def test_tags_that_nobody_heard_of_are_not_promised() -> None:
    message = request(("Supported", "timer, x-new"), ("k", "replaces"))
    assert dict(carried(message))["Supported"] == "timer, replaces"
    assert unsupported(request(("Require", "x-new"))) == ["x-new"]


def test_reliable_provisionals_are_offered_to_nobody() -> None:
    assert OPTION_TAGS["100rel"] is Rule.DROP


@given(st.integers(0, 31).filter(lambda code: code not in (0, 9, 10, 13)) | st.just(127))
def test_a_request_with_a_control_character_is_refused(code: int) -> None:
    message = request(("X-Name", f"a{chr(code)}b"))
    with pytest.raises(RemoteProtocolError):
        list(carried(message))


def test_a_response_leaves_a_broken_header_behind() -> None:
    response = Response(200, "OK", Headers([("X-Bad", "a\x07b"), ("X-Good", "yes")]))
    assert list(carried(response)) == [("X-Good", "yes")]


def test_media_keys_leave_over_encrypted_legs_only() -> None:
    message = request(("Content-Type", "application/sdp"), body=KEYS)
    assert body_for(message, TLS) == KEYS
    assert body_for(message, UDP) == KEYS.replace(b"a=crypto:1 X inline:secret\r\n", b"")


def test_a_body_of_no_stated_kind_may_hold_media_keys() -> None:
    assert b"secret" not in body_for(request(body=KEYS), UDP)


def test_a_text_that_only_looks_like_a_key_is_left_alone() -> None:
    message = request(("Content-Type", "text/plain"), body=b"a=crypto:1 is what I typed")
    assert body_for(message, UDP) == message.body


HEADER = st.tuples(
    st.from_regex(r"[Xx]-[A-Za-z0-9-]{0,12}", fullmatch=True),
    st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=30),
)


@given(st.lists(HEADER, max_size=4))
def test_what_crosses_makes_a_message_with_as_many_headers(pairs: list[tuple[str, str]]) -> None:
    message = request(*pairs)
    crossed = list(carried(message))
    own = [("Via", "SIP/2.0/UDP a;branch=z9hG4bKx"), ("Call-ID", "c"), ("CSeq", "1 INVITE")]
    own += [("From", "<sip:a@b>;tag=1"), ("To", "<sip:a@b>"), ("Max-Forwards", "70")]
    sent = Request.build("INVITE", "sip:a@b", [*own, *crossed])
    assert len(parse_message(sent.to_bytes()).headers) == len(own) + len(crossed) + 1
