"""The app is a web page: JsSIP in Chromium is woken, and called by another JsSIP."""

from collections.abc import Callable, Iterator

import pytest

from sipis.sip.flow import Transport
from sipis.sip.uri import SipUri
from tests.interop.conftest import MakePhone, MakeProvider, MakeServer
from tests.support.chromium import Chromium
from tests.support.kamailio import DOMAIN, Kamailio
from tests.support.phone import Phone, sleep_on
from tests.support.processes import free_port_pair
from tests.support.server import Server
from tests.support.trust import Pair, Trust
from tests.support.webrtc import MEDIA, WebPhone, build_page, trusting

OpenPage = Callable[..., WebPhone]
CallSleeper = Callable[..., tuple[Phone, WebPhone]]


@pytest.fixture(scope="module")
def own(trust: Trust) -> Pair:
    """The certificate of the door for apps."""
    return trust.certificate("127.0.0.1", "relay.example")


@pytest.fixture(scope="module")
def server(servers: MakeServer, own: Pair) -> Server:
    door = f"wss:127.0.0.1:{free_port_pair()}"
    certificate = {"cert_file": str(own.chain), "key_file": str(own.key)}
    return servers(sip={"app_listeners": [door], **certificate})


@pytest.fixture(scope="module")
def provider(providers: MakeProvider) -> Kamailio:
    return providers(WITH_WEBSOCKET="1")


@pytest.fixture(scope="module")
def open_page(own: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPage]:
    """Open a page with a JsSIP, in a browser that trusts the door for apps."""
    folder = tmp_path_factory.mktemp("chromium")
    page = build_page(folder)
    with Chromium(folder, *MEDIA, trusting(own.chain)) as browser:

        def opened(url: str, **account: str) -> WebPhone:
            return WebPhone(browser.page(page), url, **account)

        yield opened


@pytest.fixture
def carol(open_page: OpenPage, provider: Kamailio) -> WebPhone:
    """A caller with a browser, registered at the provider over WebSocket."""
    url = f"ws://127.0.0.1:{provider.port}/"
    return open_page(url, uri=f"sip:carol@{DOMAIN}", password="secret-carol")


@pytest.fixture
def call_sleeper(
    carol: WebPhone, provider: Kamailio, phones: MakePhone, open_page: OpenPage
) -> CallSleeper:
    """Let Carol call somebody who sleeps; the push opens the page, which gets the INVITE."""

    def call(user: str, transport: Transport = Transport.UDP) -> tuple[Phone, WebPhone]:
        phone = phones(user, on_call=sleep_on)
        phone.hand_over(provider.address(transport))
        carol.do("call", f"sip:{user}@{DOMAIN}")
        uuid = str(phone.pushed("call")["call"])
        assert phone.fate_of(uuid) == "ringing"
        page = wake(phone, open_page)
        assert page.seen("invited")["uuid"] == uuid
        return phone, page

    return call


def wake(phone: Phone, open_page: OpenPage) -> WebPhone:
    """Open the app's page with what its user was given when push was enabled."""
    relay = phone.instance["relay"]
    assert isinstance(relay, dict)
    door = SipUri.parse(relay["uris"][0])
    return open_page(
        f"{door.transport}://{door.host}:{door.port}/",
        uri=f"sip:{relay['username']}@{relay['realm']}",
        password=relay["password"],
    )


def talk(*ends: WebPhone) -> None:
    """Wait until everybody is in the call and hears the other."""
    for end in ends:
        end.seen("confirmed")
        end.hears()


def fate_of_the_call(phone: Phone) -> str:
    return phone.fate_of(str(phone.pushed("call")["call"]))


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP, Transport.WS, Transport.WSS])
def test_a_page_is_woken_for_a_webrtc_call_and_both_hear_each_other(
    transport: Transport, carol: WebPhone, call_sleeper: CallSleeper
) -> None:
    bob, page = call_sleeper(f"bob-in-a-browser-{transport}", transport)
    invited = page.seen("invited")
    assert invited["offer"] == carol.seen("sending")["offer"]
    assert str(invited["contact"]).endswith(";transport=ws>")

    page.do("answer")
    talk(carol, page)
    carol.do("hangUp")

    page.seen("ended by remote")
    assert fate_of_the_call(bob) == "answered"


def test_both_pages_hold_the_call_and_the_woken_one_hangs_up(
    carol: WebPhone, call_sleeper: CallSleeper
) -> None:
    _, page = call_sleeper("bob-holds")
    page.do("answer")
    talk(carol, page)

    for holder, held in ((page, carol), (carol, page)):
        for action in ("hold", "unhold"):
            holder.do(action)
            held.seen(f"{action} by remote")
            held.settles()
    page.do("hangUp")

    carol.seen("ended by remote")


def test_a_page_that_lost_its_connection_learns_of_the_end_once_it_is_back(
    carol: WebPhone, call_sleeper: CallSleeper
) -> None:
    _, page = call_sleeper("bob-in-a-tunnel")
    page.do("answer")
    talk(carol, page)

    page.do("lose")
    carol.do("hangUp")

    page.seen("ended by remote")


@pytest.mark.parametrize(("said", "heard", "fate"), [(603, 486, "declined"), (480, 480, "missed")])
def test_a_page_that_declines_is_heard_by_the_caller(
    said: int, heard: int, fate: str, carol: WebPhone, call_sleeper: CallSleeper
) -> None:
    bob, page = call_sleeper(f"bob-says-{said}")

    page.do("decline", said)

    assert carol.seen("failed")["status"] == heard
    assert fate_of_the_call(bob) == fate
