"""S6: a scanner finds nothing, hears nothing over UDP, wakes nobody, and is counted."""

import asyncio

import pytest

from sipis.sip.flow import Door, Transport
from sipis.world.agent import Agent
from sipis.world.handset import Temper
from tests.scenarios.conftest import Town
from tests.support.processes import require
from tests.support.raw import Raw, door_of, metric, request, until

pytestmark = pytest.mark.timeout(60)

METHODS = ("OPTIONS", "INVITE", "REGISTER", "SUBSCRIBE", "MESSAGE", "NOTIFY", "REFER", "PUBLISH",
           "BYE", "CANCEL", "ACK", "INFO", "UPDATE", "PRACK", "FOO")  # fmt: skip
GARBAGE = (b"", b"\x00" * 400, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
           b"OPTIONS sip:x SIP/2.0\r\n\r\n",
           b"OPTIONS sip:x SIP/7.0\r\nVia: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bKa\r\n\r\n",
           b"\x16\x03\x01\x02\x00", b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n")  # fmt: skip


def accounts(door: tuple[str, int]) -> list[str]:
    where = f"{door[0]}:{door[1]}"
    return [f"sip:{user}@{where}" for user in ("100", "alice", "1000", "admin", "a" * 32, "0" * 32)]


async def serve_with_udp_doors(town: Town) -> None:
    await town.serve(sip={"app_listeners": ["udp:127.0.0.1:0", "tcp:127.0.0.1:0"]})


async def all_read(town: Town, door: Door) -> None:
    """Wait until the server has read the last of GARBAGE, and answered what came later."""
    assert town.server is not None
    async with asyncio.timeout(10):
        await until(lambda: metric(town.server, "malformed_total", door=door.value) > 0)
    assert (await town.provider.options("alice")).status == 200


@pytest.mark.parametrize("door", list(Door))
async def test_no_probe_is_answered_over_udp(empty_town: Town, door: Door) -> None:
    town = empty_town
    await serve_with_udp_doors(town)
    await town.asleep(temper=Temper.IGNORE)
    assert town.server is not None
    where = door_of(town.server, door)
    pushes = len(town.stage.fcm.pushes.items)
    with Raw() as scanner:
        for uri in accounts(where):
            for method in METHODS:
                scanner.send(request(method, uri), where)
                scanner.send(request(method, uri, to=f"<{uri}>;tag=guess"), where)
        for junk in GARBAGE:
            scanner.send(junk, where)
        await all_read(town, door)
        assert scanner.drain() == []
    assert len(town.stage.fcm.pushes.items) == pushes
    assert metric(town.server, "foreign_requests_total", door=door.value) > 0
    assert metric(town.server, "malformed_total", door=door.value) > 0


async def test_over_a_connection_an_unknown_app_gets_a_challenge_and_nothing_else(
    town: Town,
) -> None:
    await town.asleep(temper=Temper.IGNORE)
    assert town.server is not None
    host, port = door_of(town.server, Door.APP, Transport.TCP)
    reader, writer = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
    heard = []
    for method in ("OPTIONS", "INVITE", "REGISTER", "MESSAGE", "REFER", "FOO"):
        writer.write(request(method, f"sip:100@{host}:{port}", via="TCP 127.0.0.2:5060"))
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        if answer.startswith("SIP/2.0 100 "):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        heard.append(answer)
    assert {answer.split("\r\n")[0] for answer in heard} == {"SIP/2.0 401 Unauthorized"}
    assert not any("sipis/" in answer or "\r\nServer:" in answer for answer in heard)
    writer.close()


async def run(program: str, *arguments: str) -> str:
    """What a program says."""
    process = await asyncio.create_subprocess_exec(
        require(program), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return said.decode()


async def test_sipvicious_finds_nothing(empty_town: Town, stranger: Agent) -> None:
    require("svmap")
    town = empty_town
    await serve_with_udp_doors(town)
    await town.asleep(temper=Temper.IGNORE)
    assert town.server is not None
    pushes = len(town.stage.fcm.pushes.items)
    us = ("-b", "127.0.0.2", "-x", "127.0.0.2")
    assert "| 127.0.0.2:" in await run("svmap", *us, "-p", str(stranger.port()), "127.0.0.2")
    ports = [str(door_of(town.server, door)[1]) for door in Door]
    scans = (
        ("svmap",), ("svmap", "-m", "INVITE"), ("svmap", "-m", "REGISTER"),
        ("svwar", "-e", "100-120", "--maximumtime=2"),
        ("svwar", "-e", "100-120", "--maximumtime=2", "-m", "INVITE", "--force"),
        ("svcrack", "-u", "alice", "-r", "100-120", "--maximumtime=2"),
    )  # fmt: skip
    said = await asyncio.gather(
        *(run(*scan, *us, "-p", port, "127.0.0.1") for scan in scans for port in ports)
    )
    assert all("found nothing" in one for one in said), said
    assert len(town.stage.fcm.pushes.items) == pushes
