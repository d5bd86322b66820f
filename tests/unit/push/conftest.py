"""A world with an APNs, an operator's key, and a push room that runs beside the test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sipis.clock import ManualClock
from sipis.model import Environment
from sipis.observe.metrics import Metrics
from sipis.observe.supervisor import Supervisor
from sipis.push.apns import ApnsProvider
from sipis.push.fcm import FcmProvider
from sipis.push.provider import ApnsAccount, FcmAccount
from sipis.world.apns import Apns
from sipis.world.fcm import Fcm
from sipis.world.operator_keys import GoogleKey
from sipis.world.tls import ThrowawayCa
from tests.support.push import FcmSender, Sender, ec_signer, rsa_signer


@pytest.fixture(scope="session")
def ca() -> ThrowawayCa:
    return ThrowawayCa()


@pytest.fixture(scope="session")
def ca_file(ca: ThrowawayCa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ca.write_root(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def supervisor(clock: ManualClock) -> AsyncIterator[Supervisor]:
    crashes: list[str] = []
    room = Supervisor("push", clock, on_crash=crashes.append)
    running = asyncio.create_task(room.run())
    await asyncio.sleep(0)
    yield room
    room.stop()
    await running
    assert crashes == []


@pytest.fixture
async def apns(ca: ThrowawayCa, clock: ManualClock) -> AsyncIterator[Apns]:
    async with Apns(ca, clock=clock) as server:
        yield server


@pytest.fixture
def bounded() -> Callable[[], asyncio.Timeout]:
    """How long a test may wait for an event of the real network."""
    return lambda: asyncio.timeout(10)


@pytest.fixture
async def sender(
    apns: Apns, ca_file: Path, clock: ManualClock, supervisor: Supervisor, metrics: Metrics
) -> AsyncIterator[Sender]:
    servers = dict.fromkeys(Environment, ("localhost", apns.port))
    account = ApnsAccount(
        "WORLDTEAM1", "org.example.app", ec_signer(apns.new_key()), servers, ca_file
    )
    accounts = {"app": account}
    provider = ApnsProvider(accounts.get, clock=clock, spawner=supervisor, metrics=metrics)
    yield Sender(provider, clock, accounts)
    await provider.close()


@pytest.fixture
async def fcm(ca: ThrowawayCa, clock: ManualClock) -> AsyncIterator[Fcm]:
    async with Fcm(ca, clock=clock) as server:
        yield server


@pytest.fixture
async def fcm_sender(
    fcm: Fcm, ca_file: Path, clock: ManualClock, supervisor: Supervisor, rsa_key: rsa.RSAPrivateKey
) -> AsyncIterator[FcmSender]:
    key = fcm.trust(GoogleKey(f"{fcm.base_url}/token", private=rsa_key))
    account = FcmAccount(
        key.project_id, key.client_email, rsa_signer(key), key.token_uri, fcm.base_url, ca_file
    )
    accounts = {"app": account}
    provider = FcmProvider(accounts.get, clock=clock, spawner=supervisor)
    yield FcmSender(provider, clock, accounts)
    await provider.close()
