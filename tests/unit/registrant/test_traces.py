"""What one attempt leaves for the next."""

from hypothesis import given
from hypothesis import strategies as st

from sipis.registrant.traces import Trace, live_nonce, next_nonce, seen_address
from sipis.sip.digest import Algorithm
from sipis.sip.flow import Transport
from sipis.sip.message import Response
from sipis.store.schedule import Binding
from sipis.vault import Authorized, NonceState

NONCE = NonceState(
    proxy=False,
    realm="example.org",
    nonce="abc",
    algorithm=Algorithm.MD5,
    qop="auth",
    opaque=None,
    userhash=False,
    uses=7,
    cnonce="c",
)
TRACE = Trace(
    NONCE._replace(uses=0, cnonce=""),
    ("<sip:p.example.org;lr>",),
    Transport.UDP,
    ("10.0.0.1", 5060),
    ("2001:db8::1", 5062),
)


def accepted(nonce: NonceState = NONCE) -> dict[bool, Authorized]:
    return {nonce.proxy: Authorized("Authorization", "Digest x", nonce, password_based=False)}


def ok(*headers: tuple[str, str]) -> Response:
    return Response.build(200, "OK", headers)


def test_a_trace_reads_back() -> None:
    assert Trace.of(TRACE.to_binding()) == TRACE


def test_a_used_nonce_makes_the_same_text_as_before() -> None:
    used = TRACE._replace(nonce=NONCE._replace(uses=99, cnonce="other"))
    assert used.to_binding() == TRACE.to_binding()
    assert used.says_the_same(TRACE)


def test_a_new_nonce_or_address_does_not() -> None:
    assert not TRACE._replace(nonce=NONCE._replace(nonce="new")).says_the_same(TRACE)
    assert not TRACE._replace(contact=("192.0.2.9", 5060)).says_the_same(TRACE)
    assert not TRACE._replace(nonce=None).says_the_same(TRACE)


def test_a_session_algorithm_keeps_its_first_client_nonce() -> None:
    session = TRACE._replace(nonce=NONCE._replace(algorithm=Algorithm.MD5_SESS))
    kept = Trace.of(session.to_binding()).nonce
    assert kept is not None
    assert kept.cnonce == "c"


@given(st.text(max_size=60), st.text(max_size=60))
def test_what_cannot_be_read_was_never_there(nonce: str, place: str) -> None:
    trace = Trace.of(Binding(nonce, (), place))
    assert trace.nonce is None or isinstance(trace.nonce, NonceState)
    assert trace.transport is None or isinstance(trace.transport, Transport)


def test_the_next_use_of_a_nonce_has_the_claimed_count() -> None:
    live = live_nonce(NONCE, 12)
    assert live is not None
    assert live.next("d").uses == 12
    assert live_nonce(None, 12) is None


def test_nextnonce_replaces_the_nonce_and_starts_its_count_anew() -> None:
    info = ("Authentication-Info", 'qop=auth, nextnonce="fresh, really", rspauth="x"')
    after = next_nonce(ok(info), accepted())
    assert after is not None
    assert (after.nonce, after.uses) == ("fresh, really", 0)


def test_without_nextnonce_the_accepted_one_stays() -> None:
    assert next_nonce(ok(), accepted()) == NONCE
    assert next_nonce(ok(), {}) is None


def test_the_address_that_the_registrar_saw_is_in_the_via() -> None:
    via = "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport=40000;received=192.0.2.1"
    assert seen_address(ok(("Via", via))) == ("192.0.2.1", 40000)
    assert seen_address(ok(("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1"))) is None
