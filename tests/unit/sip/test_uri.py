import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipis.errors import RemoteProtocolError
from sipis.sip.limits import MAX_PARAMS
from sipis.sip.uri import OpaqueUri, Params, SipUri, check_uri, parse_uri, user_of


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:alice:secret@example.com:5061;transport=tcp?subject=x&to=sip:b%40c",
        "sip:%75se%72@[2001:db8::9]:5060;lr",
        "sip:user;par=u%40example.net@example.com",
        "sip:+491@example.com;user=phone",
        "sip:*21#@kamailio1",
        "sip:alice:@example.com",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d@example.com",
        "tel:+49-89-1234;phone-context=+49",
        "urn:service:sos",
        "name:John_Smith",
    ],
)
def test_a_uri_leaves_byte_for_byte(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_the_parts_of_a_sip_uri_are_told_apart() -> None:
    uri = SipUri.parse("SIPS:Al%69ce:pw@Example.COM:5061;Transport=TCP;lr?h=1")
    assert (uri.scheme, uri.user, uri.password) == ("sips", "Al%69ce", "pw")
    assert (uri.host, uri.port, uri.headers) == ("Example.COM", 5061, "h=1")
    assert uri.transport == "tcp"
    assert uri.unescaped_user == "Alice"
    assert uri.hostport == "Example.COM:5061"


def test_other_schemes_stay_opaque() -> None:
    assert parse_uri("tel:+1") == OpaqueUri("tel", "+1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "sip:",
        "sip:@example.com",
        "sip:a@",
        "sip:a@b:0",
        "sip:a@b:65536",
        "sip:a@b c",
        "<sip:a@b>",
        "sip:a@b@c",
        "sip:a@b;;lr",
        ":x",
        "tel:",
        "1x:y",
        'sip:"a"@b',
        "sip:a\x00@b",
        "sip:a@[::1",
        "sip:a\r\n@b",
        "tel:1 2",
    ],
)
def test_bad_uris_are_refused_with_400(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_uri(text)
    assert caught.value.status_hint == 400


def test_reading_another_scheme_as_sip_owes_416() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        SipUri.parse("http://example.com/")
    assert caught.value.status_hint == 416


def test_parameters_can_be_exchanged() -> None:
    uri = SipUri.parse("sip:a@b;lr;x=1")
    assert str(uri.without_param("LR")) == "sip:a@b;x=1"
    assert str(uri.with_params(Params((("ob", None),)))) == "sip:a@b;ob"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtLanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_the_equivalent_uris_of_rfc_3261_are_equivalent(one: str, other: str) -> None:
    assert SipUri.parse(one).equivalent(SipUri.parse(other))
    assert SipUri.parse(other).equivalent(SipUri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
    ],
)
def test_the_different_uris_of_rfc_3261_are_different(one: str, other: str) -> None:
    assert not SipUri.parse(one).equivalent(SipUri.parse(other))


def test_no_sip_uri_is_equivalent_to_one_of_another_kind() -> None:
    assert not SipUri.parse("sip:1@b").equivalent(parse_uri("tel:1"))


USERS = st.text("abcXYZ019%+-_.!~*'();?&=$,/#üд\udcff", min_size=1, max_size=12)
HOSTS = st.sampled_from(["example.com", "h1", "192.0.2.1", "2001:db8::9", "a_b.c-d"])
PARAMS = st.lists(
    st.tuples(st.text("abcXY-+", min_size=1), st.none() | st.text("ab1%:", max_size=4)), max_size=4
).map(lambda items: Params(tuple(items)))


@st.composite
def sip_uris(draw: st.DrawFn) -> SipUri:
    user = draw(st.none() | USERS)
    return SipUri(
        scheme=draw(st.sampled_from(["sip", "sips"])),
        user=user,
        password=None if user is None else draw(st.none() | st.text("ab%&:", max_size=5)),
        host=draw(HOSTS),
        port=draw(st.none() | st.integers(1, 65535)),
        params=draw(PARAMS),
        headers=draw(st.text("ab=&%?:", max_size=6)),
    )


@given(sip_uris())
def test_reading_undoes_writing(uri: SipUri) -> None:
    assert parse_uri(str(uri)) == uri
    assert uri.equivalent(uri)


@given(st.text(max_size=40).map("sip:".__add__) | st.text(max_size=40))
def test_arbitrary_text_is_read_or_blamed_on_the_peer(text: str) -> None:
    try:
        uri = parse_uri(text)
    except RemoteProtocolError:
        return
    assert parse_uri(str(uri)) == uri


@given(
    st.sampled_from(
        ["sip:a@x", "sips:a@x:5061;lr", "SIP:x:0", "tel:+49", "sip:a@x;b=c;d", "sip:a@"]
    ),
    st.integers(0, 16),
    st.text('sip:@x;lr=1,?[].%"<> ', max_size=4),
)
def test_checking_refuses_what_reading_refuses(uri: str, place: int, noise: str) -> None:
    text = uri[:place] + noise + uri[place:]
    refused = []
    for read in (check_uri, parse_uri):
        try:
            read(text)
        except RemoteProtocolError:
            refused.append(read)
    assert refused in ([], [check_uri, parse_uri])


def test_checking_counts_parameters_as_reading_does() -> None:
    check_uri("sip:a@x" + ";a" * MAX_PARAMS)
    with pytest.raises(RemoteProtocolError):
        check_uri("sip:a@x" + ";a" * (MAX_PARAMS + 1))


@pytest.mark.parametrize(
    "text",
    ["sip:alice@a.example", "sips:al%69ce@a.example;x=1", "sip:a.example", "sip:a:b@a.example"],
)
def test_the_user_alone_is_what_it_is_in_the_whole(text: str) -> None:
    assert user_of(text) == (SipUri.parse(text).unescaped_user or "")


def test_a_uri_of_another_scheme_has_no_user() -> None:
    assert user_of("tel:+4930123456") == ""
