"""The torture messages of RFC 4475 and RFC 5118 at the door of a live stack.

What a section leaves to the element above the stack (501, 415, 420, 401) is told upward, as a
request with its transaction, and shown in tests/unit/relay/test_torture.py.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from sipis.errors import RemoteProtocolError
from sipis.sip.events import Event, Malformed, RequestReceived
from sipis.sip.flow import Door, Flow, Transport
from sipis.sip.framing import StreamFramer
from sipis.sip.message import Request, Response, parse_message, response_to
from sipis.sip.stack import Stack
from sipis.sip.uri import OpaqueUri, SipUri

DATA = Path(__file__).parents[2] / "data"

ANSWERED = {
    "badaspec": 400, "baddn": 400, "badinv01": 400, "badvers": 505, "clerr": 400, "insuf": 400,
    "ltgtruri": 400, "lwsruri": 400, "lwsstart": 400, "mcl01": 400, "mismatch01": 400,
    "mismatch02": 400, "multi01": 400, "ncl": 400, "novelsc": 416, "quotbal": 400, "scalar02": 400,
    "trws": 400, "unkscm": 416,
}  # fmt: skip
"""3.1.2, 3.3.1-3.3.3, 3.3.8, 3.3.9: refused by the stack itself."""

TOLD = {
    "badbranch", "baddate", "bext01", "cparam01", "cparam02", "dblreq", "esc01", "esc02", "escnull",
    "escruri", "intmeth", "inv2543", "invut", "longreq", "lwsdisp", "mpart01", "regaut01",
    "regbadct", "regescrt", "sdp01", "semiuri", "transports", "unksm2", "wsinv", "zeromf",
}  # fmt: skip
"""Well-formed, or harmless to whoever does not use the broken part."""

DROPPED = {"bcast", "bigcode", "noreason", "scalarlg", "test", "unreason"}
"""Responses to requests that were never sent, and one file that is no SIP at all."""

IPV6_REFUSED = "ipv6-bad"


class Element:
    """A stack that has just been given one message."""

    def __init__(self, data: bytes, flow: Flow, token: Callable[[], str]) -> None:
        self.stack = Stack(token=token)
        self.stack.receive(data, flow, 0.0)
        self.events = list(self._events())
        self.sent = [parse_message(sent) for sent, _ in self.stack.datagrams_to_send(0.0)]

    def _events(self) -> list[Event]:
        events = []
        while (event := self.stack.next_event()) is not None:
            events.append(event)
        return events

    @property
    def request(self) -> Request:
        (event,) = self.events
        assert isinstance(event, RequestReceived)
        assert event.transaction is not None
        return event.request


Deliver = Callable[..., Element]


@pytest.fixture
def deliver(udp: Flow, token: Callable[[], str]) -> Deliver:
    def hand_in(name: str, folder: str = "rfc4475", flow: Flow = udp) -> Element:
        return Element((DATA / folder / f"{name}.dat").read_bytes(), flow, token)

    return hand_in


def test_the_behaviour_of_every_message_is_stated() -> None:
    assert {*ANSWERED, *TOLD, *DROPPED} == {p.stem for p in (DATA / "rfc4475").glob("*.dat")}


@pytest.mark.parametrize(("name", "status"), ANSWERED.items())
def test_an_invalid_request_gets_the_response_it_is_owed(
    deliver: Deliver, name: str, status: int
) -> None:
    element = deliver(name)
    (response,) = element.sent
    assert isinstance(response, Response)
    assert response.status == status
    (event,) = element.events
    assert isinstance(event, Malformed)
    assert event.answered == status
    assert element.stack.transactions == 0


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_sound_request_is_told_and_opens_one_transaction(deliver: Deliver, name: str) -> None:
    element = deliver(name)
    assert element.request.method
    assert element.sent == []
    assert element.stack.transactions == 1


@pytest.mark.parametrize("name", sorted(DROPPED))
def test_a_response_to_nothing_and_noise_are_dropped(deliver: Deliver, name: str) -> None:
    element = deliver(name)
    assert element.sent == []
    assert element.stack.transactions == 0
    assert all(isinstance(event, Malformed) for event in element.events)


@pytest.mark.parametrize("name", sorted(TOLD))
def test_any_sound_request_can_be_answered(deliver: Deliver, name: str) -> None:
    element = deliver(name)
    (event,) = element.events
    assert isinstance(event, RequestReceived)
    refusal = response_to(event.request, 404, to_tag="ours")
    element.stack.respond(event.transaction or "", refusal, 0.1)
    ((data, _),) = element.stack.datagrams_to_send(0.1)
    assert parse_message(data).headers.get_all("via") == event.request.headers.get_all("via")


class TestMeanings:
    """What the sections say beyond whether a message is taken."""

    def test_percent_is_an_escape_in_uris_alone(self, deliver: Deliver) -> None:  # 3.1.1.3
        request = deliver("esc01").request
        assert isinstance(request.uri, SipUri)
        assert request.uri.unescaped_user == "sips:user@example.com"
        assert str(request.uri) == "sip:sips%3Auser%40example.com@example.net"
        (contact,) = request.contacts
        assert "n%61me=v%61lue%25%34%31" in str(contact.uri)

    def test_an_escaped_null_does_not_end_a_user_part(self, deliver: Deliver) -> None:  # 3.1.1.4
        request = deliver("escnull").request
        assert isinstance(request.to.uri, SipUri)
        assert request.to.uri.unescaped_user == "null-\0-null"
        assert [str(one.uri) for one in request.contacts] == [
            "sip:%00@host5.example.com",
            "sip:%00%00@host5.example.com",
        ]

    def test_a_percent_in_a_name_is_no_escape(self, deliver: Deliver) -> None:  # 3.1.1.5
        request = deliver("esc02").request
        assert request.method == "RE%47IST%45R"
        assert len(request.contacts) == 2
        assert request.to.display == "%Z%45"

    def test_what_follows_the_body_in_a_datagram_is_noise(
        self, deliver: Deliver
    ) -> None:  # 3.1.1.8
        request = deliver("dblreq").request
        assert (request.method, request.body) == ("REGISTER", b"")

    def test_a_semicolon_belongs_to_the_user(self, deliver: Deliver) -> None:  # 3.1.1.9
        uri = deliver("semiuri").request.uri
        assert isinstance(uri, SipUri)
        assert uri.unescaped_user == "user;par=u@example.net"

    def test_transports_may_be_unknown(self, deliver: Deliver) -> None:  # 3.1.1.10
        vias = deliver("transports").request.vias
        assert [via.transport for via in vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]

    def test_a_multipart_body_with_nulls_is_whole(self, deliver: Deliver) -> None:  # 3.1.1.11
        request = deliver("mpart01").request
        assert request.content_type is not None
        assert request.content_type.essence == "multipart/mixed"
        assert request.content_type.params.get("boundary") == "7a9cbec02ceef655"
        assert b"\0" in request.body
        assert request.body.rstrip().endswith(b"--7a9cbec02ceef655--")

    def test_scalars_that_are_no_scalars_are_absent_or_the_largest(
        self, deliver: Deliver
    ) -> None:  # 3.1.2.4
        (response,) = deliver("scalar02").sent
        assert response.headers.get("cseq") == "36893488147419103232 REGISTER"

    def test_a_missing_transaction_identifier_falls_back_to_rfc_2543(
        self, deliver: Deliver, udp: Flow
    ) -> None:  # 3.2.1
        element = deliver("badbranch")
        data = (DATA / "rfc4475" / "badbranch.dat").read_bytes()
        element.stack.receive(data, udp, 0.1)
        element.stack.receive(data.replace(b"33242", b"33243"), udp, 0.2)
        assert element.stack.transactions == 2

    def test_zero_hops_are_enough_for_who_is_asked(self, deliver: Deliver) -> None:  # 3.3.11
        assert deliver("zeromf").request.max_forwards == 0

    def test_a_parameter_outside_brackets_is_the_contacts(self, deliver: Deliver) -> None:  # 3.3.12
        (contact,) = deliver("cparam01").request.contacts
        assert "unknownparam" in contact.params
        assert "unknownparam" not in str(contact.uri)

    def test_a_parameter_inside_brackets_is_the_uris(self, deliver: Deliver) -> None:  # 3.3.13
        (contact,) = deliver("cparam02").request.contacts
        assert "unknownparam" not in contact.params
        assert "unknownparam" in str(contact.uri)

    def test_an_escaped_header_stays_in_its_contact(self, deliver: Deliver) -> None:  # 3.3.14
        (contact,) = deliver("regescrt").request.contacts
        assert isinstance(contact.uri, SipUri)
        assert contact.uri.headers == "Route=%3Csip:sip.example.com%3E"

    def test_a_contact_that_needs_brackets_is_refused_when_read(
        self, deliver: Deliver
    ) -> None:  # 3.1.2.13
        request = deliver("regbadct").request
        with pytest.raises(RemoteProtocolError):
            _ = request.contacts

    def test_unknown_schemes_in_headers_are_no_fault(self, deliver: Deliver) -> None:  # 3.3.4
        request = deliver("unksm2").request
        assert [type(uri) for uri in (request.to.uri, request.from_.uri)] == [OpaqueUri, OpaqueUri]

    def test_an_invite_of_rfc_2543_is_served(self, deliver: Deliver) -> None:  # 3.4.1
        element = deliver("inv2543")
        assert element.request.from_.tag is None
        assert element.request.max_forwards is None
        assert element.request.body.startswith(b"v=0")


class TestStreams:
    """What sections ask of streams: a message whose end is unknown breaks the connection."""

    @pytest.mark.parametrize("name", ["ncl", "mcl01"])
    def test_a_length_that_is_none_breaks_the_stream(self, name: str) -> None:  # 3.1.2.3, 3.3.9
        framer = StreamFramer()
        with pytest.raises(RemoteProtocolError):
            framer.feed((DATA / "rfc4475" / f"{name}.dat").read_bytes())
        assert framer.broken

    def test_a_length_that_is_too_large_waits_for_more(self) -> None:  # 3.1.2.2
        framer = StreamFramer()
        assert framer.feed((DATA / "rfc4475" / "clerr.dat").read_bytes()) == []
        assert framer.pending


class TestIPv6:
    @pytest.fixture
    def v6(self) -> Flow:
        ours, theirs = ("2001:db8::10", 5060), ("2001:db8::9:1", 5060)
        return Flow(3, Door.PROVIDER, Transport.UDP, ours, theirs)

    @pytest.mark.parametrize("path", sorted((DATA / "rfc5118").glob("*.dat")), ids=lambda p: p.stem)
    def test_every_reference_is_understood_but_the_one_without_brackets(
        self, deliver: Deliver, v6: Flow, path: Path
    ) -> None:
        element = deliver(path.stem, "rfc5118", v6)
        if path.stem == IPV6_REFUSED:
            (response,) = element.sent
            assert response.start_line() == "SIP/2.0 400 Bad Request"
        else:
            assert element.request.vias

    def test_a_port_inside_the_brackets_is_part_of_the_address(
        self, deliver: Deliver, v6: Flow
    ) -> None:  # 4.3, 4.4
        hosts = [
            (uri.host, uri.port)
            for name in ("port-ambiguous", "port-unambiguous")
            if isinstance(uri := deliver(name, "rfc5118", v6).request.uri, SipUri)
        ]
        assert hosts == [("2001:db8::10:5070", None), ("2001:db8::10", 5070)]

    @pytest.mark.parametrize("name", ["with", "no"])
    def test_received_is_read_with_and_without_brackets(self, name: str) -> None:  # 4.5
        data = (DATA / "rfc5118" / f"via-received-param-{name}-delim.dat").read_bytes()
        assert parse_message(data).via.received == "2001:db8::9:255"

    def test_received_is_written_without_brackets(self, deliver: Deliver, v6: Flow) -> None:  # 4.5
        request = deliver("ipv6-in-sdp", "rfc5118", v6).request
        assert request.headers.get_all("via") == [
            "SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111;received=2001:db8::9:1"
        ]

    def test_descriptions_with_addresses_of_both_kinds_are_carried(
        self, deliver: Deliver, v6: Flow
    ) -> None:  # 4.6, 4.8
        bodies = [
            deliver(name, "rfc5118", v6).request.body for name in ("ipv6-in-sdp", "mult-ip-in-sdp")
        ]
        named = [[line for line in body.splitlines() if line.startswith(b"c=")] for body in bodies]
        assert named == [
            [b"c=IN IP6 2001:db8::20"],
            [b"c=IN IP4 192.0.2.1", b"c=IN IP6 2001:db8::1"],
        ]

    def test_hops_of_both_kinds_stand_side_by_side(self, deliver: Deliver, v6: Flow) -> None:  # 4.7
        vias = deliver("mult-ip-in-header", "rfc5118", v6).request.vias
        assert [via.host for via in vias] == ["2001:db8::9:1", "192.0.2.1", "2001:db8::9:255"]

    def test_mapped_addresses_are_addresses(self, deliver: Deliver, v6: Flow) -> None:  # 4.9
        via, _ = deliver("ipv4-mapped-ipv6", "rfc5118", v6).request.vias
        assert (via.host, via.port) == ("::ffff:192.0.2.10", 19823)

    def test_three_colons_are_carried_as_they_came(
        self, deliver: Deliver, v6: Flow
    ) -> None:  # 4.10
        uri = deliver("ipv6-bug-abnf-3-colons", "rfc5118", v6).request.uri
        assert str(uri) == "sip:user@[2001:db8:::192.0.2.1]"
