"""One client of bench/push.py: sends so many pushes, so many at a time, and prints its CPU time.

python -m bench.push_client CLIENT DIRECTORY PUSHES IN_FLIGHT
"""

import asyncio
import itertools
import json
import os
import ssl
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

TOPIC = "org.example.app"
PAYLOAD = {
    "v": 1,
    "event": "call",
    "call": str(uuid.UUID(int=1)),
    "instance": "0" * 32,
    "node": "n1",
    "sent_at": 1_800_000_000,
    "deadline": 1_800_000_030,
    "sealed": "x" * 150,
}
WARM_UP = 200
BATCH = 50
Send = Callable[[int], Awaitable[None]]


def device_token(number: int) -> str:
    """A token as Apple makes them, a different one each time."""
    return f"{number * 0x9E3779B97F4A7C15:064x}"[-64:]


def port(directory: Path, server: str) -> int:
    """Where a server listens."""
    return int(json.loads((directory / "ports.json").read_text())[server])


@asynccontextmanager
async def ours(directory: Path, kind: str) -> AsyncIterator[Send]:
    """Our adapters, as the dispatcher calls them."""
    from sipis.clock import SystemClock
    from sipis.model import Environment, PushEvent, PushService, PushTarget, TargetKind
    from sipis.observe.metrics import Metrics
    from sipis.observe.supervisor import Supervisor
    from sipis.push.apns import ApnsProvider
    from sipis.push.fcm import FcmProvider
    from sipis.push.outcome import Accepted
    from sipis.push.provider import (
        ApnsAccount,
        FcmAccount,
        Notification,
        PushProvider,
        TargetedPush,
    )
    from sipis.vault.signer import ApnsSigner, ServiceAccountSigner

    clock = SystemClock()
    supervisor = Supervisor("push", clock)
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    ca_file = directory / "world-ca.pem"
    if kind == "fcm":
        key = ServiceAccountSigner(directory / "world-project.json")
        base = f"https://localhost:{port(directory, 'fcm')}"
        fcm = FcmAccount(key.project_id, key.client_email, key, key.token_uri, base, ca_file)
        provider: PushProvider = FcmProvider(lambda _: fcm, clock=clock, spawner=supervisor)
        service, target_kind = PushService.FCM, TargetKind.TOKEN
    else:
        servers = dict.fromkeys(Environment, ("localhost", port(directory, "apns")))
        signer = ApnsSigner(directory / "AuthKey_WORLDKEY01.p8", "WORLDKEY01")
        apns = ApnsAccount("WORLDTEAM1", TOPIC, signer, servers, ca_file)
        provider = ApnsProvider(lambda _: apns, clock=clock, spawner=supervisor, metrics=Metrics())
        service, target_kind = PushService.APNS, TargetKind.VOIP

    async def send(number: int) -> None:
        note = Notification("0" * 32, "app", PushEvent.CALL, PAYLOAD, clock.monotonic() + 30)
        target = PushTarget(service, target_kind, device_token(number))
        push = TargetedPush(
            note, target, Environment.PRODUCTION, str(uuid.uuid4()), clock.monotonic() + 30
        )
        assert isinstance(await provider.send(push), Accepted)

    yield send
    supervisor.stop()
    await running
    await provider.close()


@asynccontextmanager
async def aioapns_client(directory: Path, _: str) -> AsyncIterator[Send]:
    """The aioapns client with its own pool."""
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsProductionClientProtocol, APNsTLSClientProtocol

    APNsProductionClientProtocol.APNS_SERVER = "localhost"
    APNsTLSClientProtocol.APNS_PORT = port(directory, "apns")
    context = ssl.create_default_context(cafile=str(directory / "world-ca.pem"))
    context.set_alpn_protocols(["h2"])
    client = APNs(
        key=(directory / "AuthKey_WORLDKEY01.p8").read_text(),
        key_id="WORLDKEY01",
        team_id="WORLDTEAM1",
        topic=f"{TOPIC}.voip",
        ssl_context=context,
        max_connections=1,
    )

    async def send(number: int) -> None:
        request = NotificationRequest(
            device_token(number),
            {"sipis": PAYLOAD},
            str(uuid.uuid4()),
            time_to_live=0,
            priority=10,
            push_type=PushType.VOIP,
        )
        result = await client.send_notification(request)
        assert result.is_successful, result.description

    yield send
    client.pool.close()


@asynccontextmanager
async def firebase_client(directory: Path, _: str) -> AsyncIterator[Send]:
    """The firebase-admin client's asynchronous path, in batches as it wants them."""
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(directory / "world-ca.pem")
    import firebase_admin
    from firebase_admin import credentials, messaging

    base = f"https://localhost:{port(directory, 'fcm')}"
    messaging._MessagingService.FCM_URL = base + "/v1/projects/{0}/messages:send"
    key = credentials.Certificate(str(directory / "world-project.json"))
    firebase_admin.initialize_app(key)
    waiting: list[tuple[messaging.Message, asyncio.Future[None]]] = []

    async def send(number: int) -> None:
        message = messaging.Message(
            data={"sipis": json.dumps(PAYLOAD)},
            token=device_token(number),
            android=messaging.AndroidConfig(priority="high", ttl=0),
        )
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((message, done))
        if len(waiting) == BATCH:
            batch = waiting[:]
            waiting.clear()
            response = await messaging.send_each_async([each for each, _ in batch])
            assert response.failure_count == 0
            for _, future in batch:
                future.set_result(None)
        await done

    yield send


CLIENTS = {
    "apns": ours,
    "fcm": ours,
    "aioapns": aioapns_client,
    "firebase": firebase_client,
}


async def flood(send: Send, pushes: int, in_flight: int) -> None:
    """Send so many pushes with so many at a time."""
    numbers = itertools.count()

    async def worker() -> None:
        while (number := next(numbers)) < pushes:
            await send(number)

    await asyncio.gather(*[worker() for _ in range(in_flight)])


async def measure(client: str, directory: Path, pushes: int, in_flight: int) -> None:
    """Warm up, measure, print."""
    async with CLIENTS[client](directory, client) as send:
        await flood(send, WARM_UP, in_flight)
        cpu, wall = time.process_time(), time.perf_counter()
        await flood(send, pushes, in_flight)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)


if __name__ == "__main__":
    name, folder, count, width = sys.argv[1:]
    uvloop.run(measure(name, Path(folder), int(count), int(width)))
