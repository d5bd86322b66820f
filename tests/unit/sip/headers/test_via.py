from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.headers import Via, branch_of
from sipis.sip.params import Params


def test_the_parts_of_a_hop_are_told_apart() -> None:
    via = Via.parse("SIP/2.0/udp 192.0.2.1:5060;BRANCH=z9hG4bKa+b;received=2001:db8::9;rport=70")
    assert (via.transport, via.host, via.port) == ("UDP", "192.0.2.1", 5060)
    assert (via.branch, via.received, via.rport) == ("z9hG4bKa+b", "2001:db8::9", 70)


def test_spaces_are_allowed_where_the_grammar_has_them() -> None:
    via = Via.parse("SIP  / 2.0\t/ UDP  first.example.com: 4000;ttl=16 ;branch = z9hG4bKa")
    assert str(via) == "SIP/2.0/UDP first.example.com:4000;ttl=16;branch=z9hG4bKa"


def test_a_bare_rport_asks_and_carries_no_port() -> None:
    via = Via.parse("SIP/2.0/UDP [::1];rport")
    assert via.host == "::1"
    assert via.rport is None
    assert "rport" in via.params
    assert str(via.with_param("rport", "5070")) == "SIP/2.0/UDP [::1];rport=5070"


@pytest.mark.parametrize("port", ["0", "65536", "x", "-1"])
def test_an_impossible_rport_is_none(port: str) -> None:
    assert Via.parse(f"SIP/2.0/UDP a;rport={port}").rport is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 a",
        "HTTP/2.0/UDP a",
        "SIP/2.0/U@P a",
        "SIP/2.0/UDP a:70000",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP 192.0.2.15;;,;,,",
        "SIP/2.0/UDP ;branch=z",
    ],
)
def test_a_broken_hop_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Via.parse(text)


def test_hops_joined_by_commas_come_topmost_first() -> None:
    vias = Via.parse_many('SIP/2.0/TCP a;x=",", SIP/2.0/TLS-SCTP b')
    assert [(via.transport, via.host) for via in vias] == [("TCP", "a"), ("TLS-SCTP", "b")]


@given(
    st.sampled_from(["UDP", "TCP", "TLS", "WS", "WSS"]),
    st.sampled_from(["example.com", "192.0.2.1", "2001:db8::9"]),
    st.none() | st.integers(1, 65535),
    st.text("abcXYZ019-.!%*_+`'~", min_size=1),
)
def test_reading_undoes_writing(transport: str, host: str, port: int | None, branch: str) -> None:
    via = Via(transport, host, port, Params((("branch", branch), ("rport", None))))
    assert Via.parse(str(via)) == via


@given(st.text('SIP/2.0UDP ;:,=[]ab"', max_size=30).map("SIP/2.0/UDP ".__add__))
def test_arbitrary_text_is_read_or_blamed_on_the_peer(text: str) -> None:
    try:
        vias = Via.parse_many(text)
    except RemoteProtocolError:
        return
    assert [Via.parse(str(via)) for via in vias] == vias


HOPS = [
    "SIP/2.0/UDP a;branch=z9", "SIP/2.0/UDP a:5060;rport;branch=z9", "SIP/2.0/TLS a",
    "SIP/2.0/udp a", "SIP / 2.0 / UDP a ; branch=z9", "SIP/2.0/UDP [::1]:5060;branch=z9",
    "SIP/2.0/UDP a:70000", "SIP/2.0/UDP a;branch=", "SIP/2.0/UDP a;branch", "SIP/2.0/UDP a;;",
    'SIP/2.0/UDP a;branch="z"',
    "SIP/3.0/UDP a;branch=z9", "HTTP/2.0/UDP a", "SIP/2.0/UDP", "SIP/2.0/UDP a;BRANCH=z;branch=y",
    "SIP/2.0/UDP a;branches=1;branch=2", "SIP/2.0/UDP a:0",
    "SIP/2.0/UDP a" + ";a" * 64 + ";branch=1", "SIP/2.0/WS a:65535",
    "SIP/2.0/UDP a;branch=1" + ";a" * 63, "SIP/2.0/UDP a;branch=1" + ";a" * 64,
]  # fmt: skip


def outcome(read: Callable[[str], object], text: str) -> object:
    try:
        return read(text)
    except RemoteProtocolError:
        return "refused"


@given(st.sampled_from(HOPS), st.integers(0, 30), st.text('SIP/2.0 ab:;="', max_size=4))
def test_the_branch_alone_is_what_it_is_in_the_whole_and_refused_with_it(
    hop: str, place: int, noise: str
) -> None:
    for text in (hop, hop[:place] + noise + hop[place:]):
        assert outcome(branch_of, text) == outcome(lambda one: Via.parse(one).branch, text)
