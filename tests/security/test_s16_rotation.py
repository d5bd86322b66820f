"""S16: a secret that was replaced is dead at once, and what was captured is worth little.

A creation carries an Idempotency-Key. Sent again while the instance lives, it makes no second one
but rotates all its secrets; sent again after the end, it is refused. A refresh is worth what its
secret is worth: nothing after a rotation or the end, and never a life beyond the cap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from sipis.world.handset import Answer, Handset
from tests.scenarios.conftest import APP, Town

pytestmark = pytest.mark.timeout(30)

CAP = 7 * 86_400


@dataclass(frozen=True)
class Captured:
    """A request as somebody on the way has seen it; `send` sends it once more."""

    phone: Handset
    method: str
    path: str
    body: object
    headers: Mapping[str, str]

    async def send(self) -> Answer:
        assert self.phone._http is not None
        url = self.phone._api + self.path
        async with self.phone._http.request(
            self.method, url, json=self.body, headers=dict(self.headers)
        ) as answer:
            return Answer(answer.status, await answer.json(content_type=None))


@dataclass(frozen=True)
class Scene:
    """A phone that was enabled by a request that somebody has captured."""

    phone: Handset
    creation: Captured

    def captured(self, method: str, path: str, body: object) -> Captured:
        """A request of the phone with the secret that it has now."""
        where = f"/v1/instances/{self.phone.instance['instance']}{path}"
        bearer = {"Authorization": f"Bearer {self.phone.instance['secret']}"}
        return replace(self.creation, method=method, path=where, body=body, headers=bearer)


async def enabled(town: Town) -> Scene:
    phone = await town.phone()
    target = {"provider": "fcm", "kind": "token", "token": phone.push_token}
    account = {"aor": town.provider.add("alice", "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    body = {"app_id": APP, "account": account, "targets": [target]}
    headers = {"Authorization": f"Bearer {phone._app_key}", "Idempotency-Key": "once"}
    creation = Captured(phone, "POST", "/v1/instances", body, headers)
    answer = await creation.send()
    assert answer.status == 201
    phone.instance = answer.body
    return Scene(phone, creation)


async def instances(town: Town) -> int:
    assert town.server is not None
    return await town.server._ground.store.read(
        lambda conn: int(conn.execute("SELECT count(*) FROM instances").fetchone()[0])
    )


async def test_after_a_rotation_the_former_secret_is_dead_at_once(town: Town) -> None:
    scene = await enabled(town)
    old = [scene.captured("GET", "", None), scene.captured("DELETE", "", None),
           scene.captured("POST", "/refresh", {})]  # fmt: skip
    rotated = await scene.creation.send()
    assert (rotated.status, rotated.body["instance"]) == (201, scene.phone.instance["instance"])
    assert rotated.body["secret"] != scene.phone.instance["secret"]
    assert [(await request.send()).status for request in old] == [404, 404, 404]
    scene.phone.instance = rotated.body
    assert (await scene.phone.here("GET")).status == 200


async def test_after_a_rotation_the_former_login_opens_no_relay(town: Town) -> None:
    scene = await enabled(town)
    former = scene.phone.instance
    scene.phone.instance = (await scene.creation.send()).body
    fresh = (await scene.phone.register()).status
    scene.phone.sleep()
    scene.phone.instance = former
    assert (fresh, (await scene.phone.register()).status) == (200, 401)


async def test_a_captured_creation_makes_no_second_instance(town: Town) -> None:
    scene = await enabled(town)
    assert [(await scene.creation.send()).status for _ in range(3)] == [201, 201, 201]
    assert await instances(town) == 1


async def test_a_captured_creation_revives_nothing(town: Town) -> None:
    scene = await enabled(town)
    assert (await scene.phone.disable()).status == 200
    assert (await scene.creation.send()).status == 409
    assert await instances(town) == 0


async def test_a_captured_refresh_never_gains_more_than_the_cap(town: Town) -> None:
    scene = await enabled(town)
    refresh = scene.captured("POST", "/refresh", {"ttl": 10 * CAP})
    first, *_, last = [(await refresh.send()).body for _ in range(5)]
    assert first["ttl"] == last["ttl"] == CAP
    began, ends = (datetime.fromisoformat(str(last[key])) for key in ("created_at", "expires_at"))
    assert (ends - began).total_seconds() <= CAP + 30


async def test_a_captured_refresh_is_refused_after_the_end(town: Town) -> None:
    scene = await enabled(town)
    refresh = scene.captured("POST", "/refresh", {})
    assert (await refresh.send()).status == 200
    assert (await scene.phone.disable()).status == 200
    assert (await refresh.send()).status == 404


async def test_an_app_key_that_was_replaced_is_dead_with_its_file(town: Town) -> None:
    scene = await enabled(town)
    assert town.server is not None
    key = town.folder / "app.key"
    key.chmod(0o600)
    key.write_text("another key\n")
    town.server._app_keys.reload()
    assert (await scene.creation.send()).status == 401
    renewed = {**scene.creation.headers, "Authorization": "Bearer another key"}
    assert (await replace(scene.creation, headers=renewed).send()).status == 201
