"""REGISTER as written and the grant as read."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import LocalProtocolError, RemoteProtocolError
from sipis.model import Account
from sipis.registrant.bindings import (
    Ask,
    Identity,
    address_of_record,
    build_register,
    contact_uri,
    flow_timer,
    place_of,
    read_grant,
)
from sipis.sip.flow import Transport
from sipis.sip.message import Request, Response, parse_message
from sipis.sip.uri import SipUri

ME = Identity.of("k3v9tokentokentokentoken22", "a1b2c3d4e5f60718293a4b5c6d7e8f90")
BOB = Account("sip:bob@example.com")


def register(account: Account = BOB, **changes: object) -> Request:
    values: dict[str, object] = {"cseq": 7, "expires": 3600, "host": "192.0.2.1", "port": 5060}
    ask = Ask(**{**values, **changes})  # type: ignore[arg-type]
    return build_register(account, place_of(account), ME, ask, user_agent="sipis")


def ok(*contacts: str, expires: str | None = None) -> Response:
    headers = [("Contact", contact) for contact in contacts]
    if expires is not None:
        headers.append(("Expires", expires))
    return Response.build(200, "OK", headers)


def test_what_we_write_reads_back_as_one_register() -> None:
    request = register()
    request.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    again = parse_message(request.to_bytes())
    assert isinstance(again, Request)
    assert (again.method, again.uri_text) == ("REGISTER", "sip:example.com")
    assert again.cseq.number == 7
    assert again.expires == 3600
    assert str(again.to.uri) == str(again.from_.uri) == "sip:bob@example.com"


def test_a_refresh_differs_from_the_last_register_in_its_sequence_number_only() -> None:
    first, second = str(dict(register(cseq=1).headers)), str(dict(register(cseq=2).headers))
    assert first.replace("1 REGISTER", "2 REGISTER") == second


def test_port_and_transport_of_the_aor_choose_the_way_and_stay_out_of_from_and_to() -> None:
    account = Account("sip:bob@example.com:5080;transport=tcp")
    place = place_of(account)
    assert place.uri == "sip:example.com:5080"
    assert str(place.next_hop) == "sip:example.com:5080;transport=tcp"
    assert str(register(account).to.uri) == "sip:bob@example.com"


def test_registrar_proxy_and_domain_are_three_different_things() -> None:
    account = Account(
        "sip:bob@example.com",
        registrar="sip:reg.example.net",
        outbound_proxy="sip:edge.example.org",
    )
    place = place_of(account)
    assert place.uri == "sip:reg.example.net"
    assert place.next_hop.host == "edge.example.org"
    assert register(account).headers.get("Route") == "<sip:edge.example.org;lr>"
    assert str(register(account).to.uri) == "sip:bob@example.com"


def test_a_sips_account_never_gets_a_plain_next_hop() -> None:
    account = Account("sips:bob@example.com", outbound_proxy="sip:edge.example.org")
    assert place_of(account).next_hop.scheme == "sips"


@pytest.mark.parametrize(
    ("aor", "shown"),
    [
        ("sip:bob@example.com:5070;transport=tls", "sip:bob@example.com"),
        ("sip:+43%201@Example.com", "sip:+43%201@Example.com"),
        ("sip:bob:pw@example.com", "sip:bob@example.com"),
        ("sips:bob@[2001:db8::1]:5061", "sips:bob@[2001:db8::1]"),
        ("SIP:bob@example.com", "sip:bob@example.com"),
        ("sip:example.com", "sip:example.com"),
    ],
)
def test_from_and_to_show_user_and_host_and_nothing_else(aor: str, shown: str) -> None:
    account = Account(aor)
    assert address_of_record(aor, place_of(account)) == shown


def test_accounts_of_one_provider_share_what_was_read_of_it() -> None:
    assert place_of(Account("sip:a@example.com")) is place_of(Account("sip:b@example.com"))


def test_the_contact_carries_the_token_twice_and_our_own_instance_urn() -> None:
    contact = register().contacts[0]
    assert isinstance(contact.uri, SipUri)
    assert contact.uri.user == contact.uri.params.get("line") == ME.token
    assert contact.params.get("+sip.instance") == f"<{ME.urn}>"


def test_outbound_is_offered_on_streams_only() -> None:
    stream = register(transport=Transport.TLS)
    assert "outbound" in stream.supported
    assert stream.contacts[0].params.get("reg-id") == "1"
    assert "outbound" not in register().supported
    assert register().contacts[0].params.get("reg-id") is None


def test_the_plain_form_keeps_the_contact_uri_and_drops_what_is_optional() -> None:
    plain = register(plain=True)
    assert "Supported" not in plain.headers
    assert "Allow" not in plain.headers
    assert plain.contacts[0].params.items == ()
    assert plain.contacts[0].uri == register().contacts[0].uri


def test_an_ipv6_contact_has_brackets() -> None:
    assert "@[2001:db8::1]:5060" in contact_uri(ME, "2001:db8::1", 5060, Transport.UDP)


def test_secure_websocket_is_a_websocket_in_a_contact() -> None:
    assert ";transport=ws;" in contact_uri(ME, "192.0.2.1", 443, Transport.WSS)


def test_a_new_address_removes_the_old_contact_in_the_same_request() -> None:
    old = contact_uri(ME, "198.51.100.9", 5060, Transport.UDP)
    new, gone = register(old_contact=old).contacts
    assert new.params.get("expires") == "3600"
    assert (str(gone.uri), gone.params.get("expires")) == (old, "0")


def test_un_register_names_our_contact_and_never_the_star() -> None:
    request = register(expires=0)
    assert not request.is_star_contact
    assert request.contacts[0].params.get("expires") == "0"
    assert request.expires == 0


def test_a_line_break_in_a_display_name_makes_no_header() -> None:
    with pytest.raises(LocalProtocolError):
        register(Account("sip:bob@example.com", display_name="Bob\r\nX-Evil: 1"))


def test_an_account_without_a_sip_uri_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        place_of(Account("tel:+431234"))


def mine(params: str = "") -> str:
    return f"<{contact_uri(ME, '192.0.2.1', 5060, Transport.UDP)}>{params}"


def test_the_expires_of_our_own_contact_wins() -> None:
    other = "<sip:bob@198.51.100.1>;expires=9999"
    assert read_grant(ok(other, mine(";expires=60"), expires="7"), ME, 3600).seconds == 60


def test_the_expires_header_counts_when_our_contact_has_none() -> None:
    assert read_grant(ok(mine(), expires="77"), ME, 3600).seconds == 77


def test_what_we_asked_for_counts_when_nothing_is_said() -> None:
    assert read_grant(ok(mine()), ME, 3600).seconds == 3600


def test_the_expires_before_an_echoed_instance_id_counts() -> None:
    echoed = f';expires=20;+sip.instance="<{ME.urn}>"'
    assert read_grant(ok(mine(echoed)), ME, 3600).seconds == 20


def test_joined_contacts_and_quoted_expires_are_read() -> None:
    joined = f'<sip:x@198.51.100.1>;expires=5, {mine()};q=0.5;EXPIRES = "120"'
    assert read_grant(ok(joined), ME, 3600).seconds == 120


def test_a_mangled_contact_is_known_by_its_line_or_its_urn() -> None:
    mangled = f"<sip:s-1@10.0.0.1;line={ME.token}>;expires=50"
    assert read_grant(ok("<sip:a@b>;expires=1", mangled), ME, 3600).seconds == 50
    renamed = f'<sip:s-2@10.0.0.1>;+sip.instance="<{ME.urn}>";expires=40'
    assert read_grant(ok("<sip:a@b>;expires=1", renamed), ME, 3600).seconds == 40


def test_the_only_contact_is_taken_for_ours() -> None:
    assert read_grant(ok("<sip:whoever@10.0.0.1>;expires=30"), ME, 3600).seconds == 30


def test_a_200_without_contacts_or_with_foreign_ones_only_binds_nothing() -> None:
    assert read_grant(ok(), ME, 3600).seconds == 0
    foreign = ok("<sip:a@10.0.0.1>;expires=9", "<sip:b@10.0.0.1>;expires=9")
    assert read_grant(foreign, ME, 3600).seconds == 0


def test_an_old_contact_of_ours_on_its_way_out_does_not_hide_the_new_one() -> None:
    old = f"<sip:{ME.token}@198.51.100.9:5060;line={ME.token}>;expires=0"
    assert read_grant(ok(old, mine(";expires=600")), ME, 3600).seconds == 600


def test_service_routes_are_kept_as_written() -> None:
    response = ok(mine())
    response.headers.add("Service-Route", "<sip:orig@proxy.example.com;lr>")
    assert read_grant(response, ME, 60).service_route == ("<sip:orig@proxy.example.com;lr>",)


@given(
    st.lists(st.text(max_size=80).filter(lambda text: not set(text) & set("\r\n\0")), max_size=4)
)
def test_no_contact_text_breaks_the_reading_of_a_grant(texts: list[str]) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert read_grant(ok(*texts), ME, 3600).seconds >= 0


@pytest.mark.parametrize(("stated", "read"), [("30", 30), ("soon", None), ("", None)])
def test_the_flow_timer_is_read_where_it_is_a_number(stated: str, read: int | None) -> None:
    assert flow_timer(Response.build(200, "OK", [("Flow-Timer", stated)])) == read
    assert flow_timer(ok()) is None
