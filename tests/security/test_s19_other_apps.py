"""S19: one app reaches nothing of another, and its full house does not fill the other's."""

import os

import pytest

from sipis.app.first_start import secret_file
from sipis.world.handset import Answer, Handset
from tests.scenarios.conftest import APP, Town

pytestmark = pytest.mark.timeout(30)

OTHER = "other"


async def serve_two_apps(town: Town, **of_first: object) -> str:
    """Serve the usual app and another one; returns the key of the other."""
    key = secret_file(town.folder / "other.key", os.urandom)
    other = {"key_files": [str(key)], **town.stage.settings()}
    await town.serve(apps={APP: of_first, OTHER: other})
    return key.read_text().strip()


async def enable(town: Town, phone: Handset, user: str, app: str, key: str) -> Answer:
    target = {"provider": "fcm", "kind": "token", "token": phone.push_token + user}
    account = {"aor": town.provider.add(user, "secret"), "password": "secret",
               "registrar": town.provider.address()}  # fmt: skip
    body = {"app_id": app, "account": account, "targets": [target]}
    return await phone.http("POST", "/v1/instances", body, bearer=key)


async def test_a_key_opens_its_own_app_alone(empty_town: Town) -> None:
    key = await serve_two_apps(empty_town)
    phone = await empty_town.phone()
    assert (await enable(empty_town, phone, "alice", APP, key)).status == 422
    assert (await enable(empty_town, phone, "alice", OTHER, key)).status == 201


async def test_no_key_and_no_secret_of_one_app_reads_an_instance_of_another(
    empty_town: Town,
) -> None:
    key = await serve_two_apps(empty_town)
    phone = await empty_town.asleep("alice")
    theirs = (await enable(empty_town, phone, "bob", OTHER, key)).body
    for method, path, body in (
        ("GET", "", None), ("DELETE", "", None), ("GET", "/export", None),
        ("POST", "/refresh", {}), ("GET", "/messages", None),
    ):  # fmt: skip
        where = f"/v1/instances/{phone.instance['instance']}{path}"
        for bearer in (key, str(theirs["secret"])):
            assert (await phone.http(method, where, body, bearer=bearer)).status == 404
    assert (await phone.here("GET")).status == 200


async def test_an_app_that_has_all_it_may_leaves_the_other_its_room(empty_town: Town) -> None:
    key = await serve_two_apps(empty_town, max_instances=1)
    phone = await empty_town.phone()
    full = [await enable(empty_town, phone, user, APP, phone._app_key) for user in ("a", "b")]
    assert [answer.status for answer in full] == [201, 503]
    assert (await enable(empty_town, phone, "c", OTHER, key)).status == 201


async def test_an_idempotency_key_belongs_to_its_app(empty_town: Town) -> None:
    key = await serve_two_apps(empty_town)
    phone = await empty_town.phone()
    assert phone._http is not None
    made = []
    for app, bearer in ((APP, phone._app_key), (OTHER, key)):
        target = {"provider": "fcm", "kind": "token", "token": app}
        account = {"aor": "sip:alice@provider.example", "password": "secret",
                   "registrar": empty_town.provider.address()}  # fmt: skip
        async with phone._http.post(
            phone._api + "/v1/instances",
            json={"app_id": app, "account": account, "targets": [target]},
            headers={"Authorization": f"Bearer {bearer}", "Idempotency-Key": "the same"},
        ) as answer:
            made.append((answer.status, (await answer.json())["instance"]))
    assert [status for status, _ in made] == [201, 201]
    assert made[0][1] != made[1][1]
