"""The peers of these tests: a provider, the push service, the server between them, and phones."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TypedDict, Unpack

import pytest

from sipis.world.tls import ThrowawayCa
from tests.support.google import Google
from tests.support.kamailio import DOMAIN, Kamailio
from tests.support.netns import PrivateNetwork
from tests.support.phone import OnCall, Phone
from tests.support.processes import free_port_pair
from tests.support.server import APP, Server
from tests.support.trust import Trust

RUNNING: list[Server] = []
MakeServer = Callable[..., Server]
MakeProvider = Callable[..., Kamailio]
MakePhone = Callable[..., Phone]


class Habits(TypedDict, total=False):
    """How a phone differs from others."""

    on_call: OnCall
    relay: str
    answers: str
    listen: int
    network: PrivateNetwork


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs real peers."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.interop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers said beside a failure."""
    report = yield
    if report.failed:
        for server in RUNNING:
            if server.program is not None:
                report.sections.append((str(server.folder), server.program.output()[-6000:]))
    return report


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """The authority that everybody here trusts, and the certificates that it gave out."""
    return Trust(tmp_path_factory.mktemp("trust"), ThrowawayCa())


@pytest.fixture(scope="session")
def google(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with Google(tmp_path_factory.mktemp("google"), trust.authority) as google:
        yield google


@pytest.fixture(scope="module")
def providers(trust: Trust, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeProvider]:
    """Start a provider with these switches whose certificate has these names; equals are shared."""
    running: dict[object, Kamailio] = {}

    def make(*names: str, **switches: str) -> Kamailio:
        kind = (names, *sorted(switches.items()))
        if kind not in running:
            pair = trust.certificate(*(names or (DOMAIN, "127.0.0.1")))
            folder = tmp_path_factory.mktemp("kamailio")
            running[kind] = Kamailio(folder, certificate=pair.chain, key=pair.key, **switches)
        return running[kind]

    yield make
    for provider in running.values():
        provider.stop()


@pytest.fixture(scope="module")
def provider(providers: MakeProvider) -> Kamailio:
    """A provider without peculiarities."""
    return providers()


@pytest.fixture(scope="module")
def servers(
    trust: Trust, google: Google, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeServer]:
    """Start a server of its own, with these settings over the usual ones."""
    running: list[Server] = []
    own = trust.certificate("127.0.0.1")

    def make(**sections: dict[str, object]) -> Server:
        doors = [f"{kind}:127.0.0.1:{free_port_pair()}" for kind in ("tcp", "tls")]
        usual: dict[str, dict[str, object]] = {
            "sip": {
                "app_listeners": doors, "cert_file": str(own.chain), "key_file": str(own.key),
            },
            "providers": {"127.0.0.1": {"ca_file": str(trust.ca_file), "register_per_second": 500}},
            "apps": {APP: {"fcm": google.settings}},
            "api": {"requests_per_minute": 1_000_000},
        }  # fmt: skip
        server = Server(tmp_path_factory.mktemp("sipis"), **usual | sections)
        running.append(server)
        RUNNING.append(server)
        server.start()
        return server

    yield make
    for server in running:
        server.stop()
        RUNNING.remove(server)


@pytest.fixture(scope="module")
def server(servers: MakeServer) -> Server:
    """A server that the tests of a module share."""
    return servers()


@pytest.fixture
def phones(
    tmp_path: Path, trust: Trust, google: Google, request: pytest.FixtureRequest
) -> Iterator[MakePhone]:
    """Buy phones, for the shared server or another; they are switched off in the end."""
    with ExitStack() as bought:

        def make(user: str, at: Server | None = None, **habits: Unpack[Habits]) -> Phone:
            home = at or request.getfixturevalue("server")
            phone = Phone(tmp_path, home, google, user, ca_file=trust.ca_file, **habits)
            bought.callback(phone.stop)
            return phone

        yield make
