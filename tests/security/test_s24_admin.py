"""S24: the admin listener is on loopback by default, wants its token, and is no part of the API."""

import pytest

from sipis.config import Settings
from tests.scenarios.conftest import Town

pytestmark = pytest.mark.timeout(30)

ADMIN = ("/metrics", "/v1/admin/stats", "/v1/admin/instances", "/v1/admin/instances/x")


def test_by_default_every_listener_is_on_loopback() -> None:
    settings = Settings()
    assert settings.admin.host == settings.api.host == "127.0.0.1"
    listeners = (*settings.sip.provider_listeners, *settings.sip.app_listeners)
    assert all(":127.0.0.1:" in listener for listener in listeners)


async def test_the_public_listener_knows_no_admin_page(town: Town) -> None:
    phone = await town.phone()
    token_file = town.settings().admin.token_file
    assert token_file is not None
    for bearer in ("", phone._app_key, token_file.read_text().strip()):
        for path in ADMIN:
            assert (await phone.http("GET", path, bearer=bearer)).status == 404, path


async def test_the_admin_listener_opens_to_its_token_alone(town: Town) -> None:
    phone = await town.asleep()
    assert town.server is not None
    assert phone._http is not None
    base = f"http://127.0.0.1:{town.server.admin_port}"
    for bearer in ("", phone._app_key, str(phone.instance["secret"]), "x"):
        for path in ADMIN:
            headers = {"Authorization": f"Bearer {bearer}"}
            async with phone._http.get(base + path, headers=headers) as answer:
                assert answer.status == 401, path


async def test_the_admin_listener_is_bound_to_no_public_address(town: Town) -> None:
    assert town.server is not None
    bound = [acceptor._bound.getsockname()[0] for acceptor in town.server._admin._acceptors]
    assert bound == ["127.0.0.1"]
