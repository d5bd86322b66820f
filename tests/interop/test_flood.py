"""The flood in short: calls come through, memory stays within its bound, connections are let go.

`python -m bench.flood` is the same siege, for ten minutes and at its full strength.
"""

import asyncio
from pathlib import Path

import pytest

from bench.flood_attackers import Target
from bench.flood_report import GROWTH, Report
from bench.flood_siege import Plan, Siege
from bench.flood_town import Town
from tests.interop.conftest import MakeServer
from tests.support.processes import free_port, free_port_pair
from tests.support.server import APP, APP_KEY, Server
from tests.support.trust import Trust

pytestmark = pytest.mark.timeout(120)

PHONES = 20
PLAN = Plan(seconds=8, calls_per_second=4, warm_up=2, quiet=0, rest=0)
STRENGTH = 0.3
"""Of the attackers, for a machine whose two cores have other tests to run."""


def open_everywhere(servers: MakeServer, trust: Trust, town: Town) -> tuple[Server, Target]:
    """A server with every kind of door, whose pushes go to the town."""
    own = trust.certificate("127.0.0.1")
    provider, app, tls = free_port_pair(), free_port_pair(), free_port()
    server = servers(
        sip={
            "provider_listeners": [f"{kind}:127.0.0.1:{provider}" for kind in ("udp", "tcp")],
            "app_listeners": [
                f"udp:127.0.0.1:{app}", f"tcp:127.0.0.1:{app}", f"tls:127.0.0.1:{tls}",
            ],
            "relay_uris": [f"sip:127.0.0.1:{app};transport=tcp"],
            "cert_file": str(own.chain),
            "key_file": str(own.key),
        },
        apps={APP: {"fcm": town.fcm_settings()}},
        log={"level": "warning"},
    )  # fmt: skip
    return server, Target(provider, app, tls, server.api_port, STRENGTH)


async def siege(servers: MakeServer, trust: Trust, folder: Path) -> tuple[Server, Report]:
    async with Town(folder) as town:
        server, target = open_everywhere(servers, trust, town)
        assert server.program is not None
        await town.settle(f"http://127.0.0.1:{server.api_port}", APP_KEY, APP, PHONES)
        one = Siege(town, server.program.pid, target, folder / "attackers", PLAN)
        return server, await one.carry_out(print)


def test_a_flooded_server_puts_every_call_through_and_holds_no_more_than_before(
    servers: MakeServer, trust: Trust, tmp_path: Path
) -> None:
    server, report = asyncio.run(siege(servers, trust, tmp_path))
    for figure in report.figures():
        print(figure.line())
    assert report.tally.made == PLAN.seconds * PLAN.calls_per_second
    assert not report.tally.lost
    assert report.peak - report.before.memory < GROWTH * 2**20
    assert report.after.has_no_more_files_than(report.before)
    assert server.metric("sipis_malformed_total") > 0
    assert server.metric("sipis_foreign_requests_total") > 0
    assert server.metric("sipis_crashes_total") == 0
    assert server.program is not None
    for trouble in ('"level": "error"', "Traceback", '"event": "library"'):
        assert trouble not in server.program.output()
