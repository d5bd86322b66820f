"""A server that dies or stops: bindings at the provider outlive it, and nobody is bothered."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from sipis.model import CallState
from sipis.store import calls
from sipis.store.connection import open_reader
from tests.interop.conftest import MakePhone, MakeProvider, MakeServer
from tests.support import sipp
from tests.support.kamailio import DOMAIN, Kamailio
from tests.support.phone import Phone, answer
from tests.support.processes import wait_until
from tests.support.server import APP, Server

SLEEPERS = 99
CRASHES = 3
"""The quickest start counts: the machine may be busy with other tests during any one of them."""


def test_after_a_crash_no_binding_is_made_anew_and_calls_arrive(
    servers: MakeServer, provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    server = servers()
    bob = phones("bob-after-crash", at=server)
    bob.hand_over(provider.address())
    with ThreadPoolExecutor(8) as people:
        assert set(people.map(lambda n: enable(server, provider, n), range(SLEEPERS))) == {201}
    wait_until(lambda: registered(server) == SLEEPERS + 1, "everybody to be registered")
    asked_before = provider.requests("REGISTER")

    best = min(seconds_to_recover(server) for _ in range(CRASHES))
    print(f"ready {best:.2f} s after a crash with {SLEEPERS + 1} phones, loading left out")
    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    bob.heard("session closed")
    assert provider.requests("REGISTER") == asked_before
    assert len(provider.contacts()) == SLEEPERS + 1
    assert best < 1


def test_a_server_that_is_told_to_stop_does_so_and_leaves_its_bindings(
    servers: MakeServer, providers: MakeProvider, phones: MakePhone
) -> None:
    provider = providers(MAX_EXPIRES="3601")
    server = servers()
    bob = phones("bob-is-kept", at=server)
    bob.hand_over(provider.address())

    assert server.program is not None
    server.program.signal(signal.SIGTERM)

    assert server.program.wait() == 0
    assert len(provider.contacts()) == 1


def test_a_call_that_rings_while_the_server_stops_is_answered_and_ends_at_the_next(
    servers: MakeServer, provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    def answer_through_a_stopping_server(phone: Phone, call: str) -> None:
        assert server.program is not None
        server.program.signal(signal.SIGTERM)
        answer(phone, call)

    server = servers()
    bob = phones("bob-in-a-hurry", at=server, on_call=answer_through_a_stopping_server)
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "call", bob.user, provider.port)
    bob.heard("Call established")
    assert server.program is not None
    assert server.program.wait() == 0
    server.start()

    sipp.finish(call)


def test_a_running_call_outlives_a_crash(
    servers: MakeServer, provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    server = servers()
    bob = phones("bob-talks-on", at=server)
    bob.hand_over(provider.address())

    call = sipp.start(tmp_path, "call", bob.user, provider.port)
    bob.heard("Call established")
    wait_until(lambda: is_on_disk(server, CallState.ANSWERED), "the call to be on disk")
    server.kill()
    server.start()

    sipp.finish(call)


def test_a_call_that_rings_when_the_server_crashes_rings_on_and_is_answered(
    servers: MakeServer, provider: Kamailio, phones: MakePhone, tmp_path: Path
) -> None:
    crashes = iter([True])

    def answer_after_a_crash(phone: Phone, call: str) -> None:
        if next(crashes, False):
            wait_until(lambda: is_on_disk(server, CallState.RINGING), "the call to be on disk")
            server.kill()
            server.start()
        else:
            answer(phone, call)

    server = servers()
    bob = phones("bob-rings-on", at=server, on_call=answer_after_a_crash)
    bob.hand_over(provider.address())

    sipp.finish(sipp.start(tmp_path, "call", bob.user, provider.port))

    bob.heard("session closed")


def enable(server: Server, provider: Kamailio, number: int) -> int:
    """Hand over an account whose phone never wakes up."""
    user = f"sleeper-{number}"
    account = {
        "aor": f"sip:{user}@{DOMAIN}",
        "password": f"secret-{user}",
        "registrar": provider.address(),
    }
    target = {"provider": "fcm", "kind": "token", "token": f"token-of-{user}"}
    body = {"app_id": APP, "account": account, "targets": [target]}
    return server.call("POST", "/v1/instances", body).status


def is_on_disk(server: Server, state: CallState) -> bool:
    """Whether the next process would find a call in that state, which is written down beside it."""
    with closing(open_reader(server.data)) as database:
        return any(row.state is state for row in calls.under_way(database))


def seconds_to_recover(server: Server) -> float:
    """From a crash to readiness, without what it takes to load the program."""
    server.kill()
    return server.start() - seconds_to_load()


def seconds_to_load() -> float:
    """What the machine needs today to start Python and import everything."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "sipis", "version"], check=True, capture_output=True)
    return time.monotonic() - began


def registered(server: Server) -> object:
    """How many instances the server itself takes for registered."""
    states = server.admin("/v1/admin/stats").body["states"]
    return states.get("registered") if isinstance(states, dict) else None
