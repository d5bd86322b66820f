"""Every operation of the app API and the admin listener of a whole server, used well and badly."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from sipis.api.operations import OPERATIONS
from sipis.world.handset import Handset, Temper
from tests.scenarios.conftest import APP, Town

pytestmark = pytest.mark.timeout(30)
PROBLEMS = "urn:sipis:problem:"
UNKNOWN = "0" * 32


@dataclass(frozen=True)
class Reply:
    """An answer down to its bytes."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))

    @property
    def problem(self) -> tuple[int, str, str]:
        assert self.headers["Content-Type"].startswith("application/problem+json")
        kind = str(self.body["type"]).removeprefix(PROBLEMS)
        return self.status, kind, str(self.body.get("field", ""))


class Client:
    """curl, so to speak."""

    def __init__(self, town: Town, http: aiohttp.ClientSession) -> None:
        self.town = town
        self._http = http

    async def api(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        assert self.town.server is not None
        return await self._ask(self.town.server.api_port, method, path, body, **more)

    async def admin(self, method: str, path: str, **more: Any) -> Reply:
        assert self.town.server is not None
        token = (self.town.folder / "server" / "admin.token").read_text().strip()
        more.setdefault("bearer", token)
        return await self._ask(self.town.server.admin_port, method, path, None, **more)

    async def create(self, **changes: object) -> Reply:
        """POST /v1/instances with a good body, but for these changes."""
        return await self.api("POST", "/v1/instances", self.order(**changes), bearer=self.app_key)

    def order(self, **changes: object) -> dict[str, object]:
        account = {"aor": self.town.provider.add("alice", "secret"), "password": "secret",
                   "registrar": self.town.provider.address()}  # fmt: skip
        target = {"provider": "fcm", "kind": "token", "token": "a-token"}
        return {"app_id": APP, "account": account, "targets": [target]} | changes

    @property
    def app_key(self) -> str:
        return (self.town.folder / "app.key").read_text().strip()

    async def _ask(
        self, port: int, method: str, path: str, body: object, *, bearer: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        sent = {"Authorization": f"Bearer {bearer}", **(headers or {})}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"http://127.0.0.1:{port}{path}"
        async with self._http.request(method, url, data=data, headers=sent) as response:
            return Reply(response.status, response.headers, await response.read())


@pytest.fixture
async def client(town: Town) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(town, http)


def account(**changes: object) -> dict[str, object]:
    base = {"aor": "sip:alice@provider.example", "password": "secret"}
    return {"account": {k: v for k, v in (base | changes).items() if v is not None}}


def target(**changes: object) -> dict[str, list[dict[str, object]]]:
    return {"targets": [{"provider": "fcm", "kind": "token", "token": "t"} | changes]}


HA1 = {"realm": "r", "algorithm": "MD5", "ha1": "ab" * 16}
WRONG_ORDERS: dict[str, tuple[Mapping[str, object], str, str]] = {
    "no app": ({"app_id": 7}, "invalid-field", "app_id"),
    "another app": ({"app_id": "other"}, "invalid-field", "app_id"),
    "no account": ({"account": None}, "invalid-field", "account"),
    "no address": (account(aor=None), "invalid-field", "account.aor"),
    "no user": (account(aor="sip:provider.example"), "invalid-field", "account.aor"),
    "a number": (account(aor="tel:+1555"), "invalid-field", "account.aor"),
    "an endless address": (
        account(aor="sip:" + "a" * 600 + "@b.example"), "invalid-field", "account.aor"),
    "no password": (account(password=None), "invalid-field", "account"),
    "two credentials": (account(ha1=[HA1]), "invalid-field", "account"),
    "a password with a line break": (
        account(password="a\nb"), "invalid-field", "account.password"),
    "an endless password": (account(password="a" * 300), "invalid-field", "account.password"),
    "no digest": (
        account(password=None, ha1=[HA1 | {"ha1": "abc"}]), "invalid-field", "account.ha1.0"),
    "a foreign algorithm": (account(password=None, ha1=[HA1 | {"algorithm": "SHA-1"}]),
                            "invalid-field", "account.ha1.0.algorithm"),
    "a hasty interval": (account(expires=5), "invalid-field", "account.expires"),
    "a proxy inside": (account(outbound_proxy="sip:10.1.1.1"),
                       "refused-address", "account.outbound_proxy"),
    "a home inside": (account(aor="sip:a@192.168.1.1"), "refused-address", "account.aor"),
    "a home in disguise": (account(aor="sip:a@0x7f.1"), "invalid-field", "account.aor"),
    "metadata": (account(registrar="sip:169.254.169.254"),
                 "refused-address", "account.registrar"),
    "no target": ({"targets": []}, "invalid-field", "targets"),
    "too many targets": (
        {"targets": target(token="t")["targets"] * 9}, "invalid-field", "targets"),
    "an unknown service": (target(provider="mpns"), "invalid-field", "targets.0.provider"),
    "a kind of the other service": (target(kind="voip"), "invalid-field", "targets.0"),
    "no hex": (target(provider="apns", kind="voip", token="xyz"), "invalid-field", "targets.0"),
    "an unknown key in a target": (target(sound="loud"), "unknown-field", "targets.0.sound"),
    "a short life": ({"ttl": 5}, "invalid-field", "ttl"),
    "no mode": ({"mode": "sometimes"}, "invalid-field", "mode"),
    "no key": ({"push_key": "short"}, "invalid-field", "push_key"),
    "a key to which nothing can be sealed": ({"push_key": "A" * 43}, "invalid-field", "push_key"),
    "an unwanted preview": ({"preview": True}, "invalid-field", "preview"),
    "an unknown key": ({"colour": "red"}, "unknown-field", "colour"),
}  # fmt: skip


class TestEnable:
    """POST /v1/instances."""

    async def test_gives_all_that_the_app_needs_once(self, client: Client) -> None:
        reply = await client.create()
        assert reply.status == 201
        assert set(reply.body) == {
            "instance", "secret", "expires_at", "ttl", "state", "relay", "receipt",
        }  # fmt: skip
        assert set(reply.body["relay"]) == {"username", "password", "realm", "uris"}
        assert reply.body["relay"]["uris"][0].startswith("sip:127.0.0.1:")
        assert reply.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("wrong", WRONG_ORDERS)
    async def test_names_the_field_that_is_wrong(self, client: Client, wrong: str) -> None:
        changes, kind, field = WRONG_ORDERS[wrong]
        reply = await client.create(**changes)
        assert reply.problem == (422, kind, field)
        counted = (await client.admin("GET", "/v1/admin/stats")).body["apps"]
        assert counted.get(APP, {"instances": 0})["instances"] == 0

    @pytest.mark.parametrize(
        ("data", "kind"),
        [(b"{", "invalid-json"), (b"[]", "invalid-json"), (b"\xff", "invalid-json"),
         (b'{"a":' * 40 + b"1" + b"}" * 40, "invalid-json"), (b"", "invalid-json")],
    )  # fmt: skip
    async def test_wants_one_json_object(self, client: Client, data: bytes, kind: str) -> None:
        reply = await client.api("POST", "/v1/instances", data, bearer=client.app_key)
        assert reply.problem == (400, kind, "")

    async def test_wants_to_be_told_that_it_is_json(self, client: Client) -> None:
        reply = await client.api("POST", "/v1/instances", b"{}", bearer=client.app_key,
                                 headers={"Content-Type": "text/plain"})  # fmt: skip
        assert reply.problem == (415, "unsupported-media", "")

    async def test_takes_no_body_over_the_limit(self, client: Client) -> None:
        data = b'{"padding": "' + b"x" * 40_000 + b'"}'
        reply = await client.api("POST", "/v1/instances", data, bearer=client.app_key)
        assert reply.problem == (413, "too-large", "")

    @pytest.mark.parametrize("expected", ["100-continue", "miracles"])
    async def test_does_without_what_else_a_client_expects(
        self, client: Client, expected: str
    ) -> None:
        reply = await client.api("POST", "/v1/instances", b"{}", bearer=client.app_key,
                                 headers={"Expect": expected})  # fmt: skip
        assert reply.problem == (422, "invalid-field", "app_id")

    async def test_wants_a_key_before_it_reads(self, client: Client) -> None:
        for bearer in ("", "a guess", "a" * 5000):
            reply = await client.api("POST", "/v1/instances", b"{", bearer=bearer)
            assert reply.problem == (401, "unauthorized", "")
            assert reply.headers["WWW-Authenticate"] == "Bearer"

    async def test_takes_no_endless_idempotency_key(self, client: Client) -> None:
        reply = await client.api("POST", "/v1/instances", client.order(), bearer=client.app_key,
                                 headers={"Idempotency-Key": "k" * 201})  # fmt: skip
        assert reply.problem == (422, "invalid-field", "Idempotency-Key")

    async def test_refuses_a_service_that_the_operator_did_not_configure(
        self, empty_town: Town
    ) -> None:
        await empty_town.serve(apps={APP: {"apns": None}})
        async with aiohttp.ClientSession() as http:
            client = Client(empty_town, http)
            reply = await client.create(**target(provider="apns", kind="alert", token="ab" * 32))
            assert reply.problem == (422, "push-not-configured", "targets.0.provider")

    async def test_refuses_more_instances_than_the_app_may_have(self, empty_town: Town) -> None:
        await empty_town.serve(apps={APP: {"max_instances": 1}})
        async with aiohttp.ClientSession() as http:
            client = Client(empty_town, http)
            assert (await client.create()).status == 201
            reply = await client.create(**target(token="another"))
            assert reply.problem == (503, "unavailable", "")


WRONG_REQUESTS: dict[str, tuple[str, str, object, tuple[int, str, str]]] = {
    "PUT of an unknown key": ("PUT", "", {"secret": "x"}, (422, "unknown-field", "secret")),
    "PUT of a bad account": ("PUT", "", account(registrar="sip:10.0.0.1"),
                             (422, "refused-address", "account.registrar")),
    "PUT of a bad target": (
        "PUT", "", target(kind="alert"), (422, "invalid-field", "targets.0")),
    "PUT of a preview": ("PUT", "", {"preview": True}, (422, "invalid-field", "preview")),
    "PUT of nothing at all": ("PUT", "", None, (415, "unsupported-media", "")),
    "refresh for a moment": ("POST", "/refresh", {"ttl": 1}, (422, "invalid-field", "ttl")),
    "refresh without JSON": ("POST", "/refresh", b"{", (400, "invalid-json", "")),
    "a lease of a day": (
        "POST", "/foreground", {"lease": 86_400}, (422, "invalid-field", "lease")),
    "a wrong code": ("POST", "/verify", {"code": "no"}, (422, "invalid-field", "code")),
    "no code": ("POST", "/verify", {}, (422, "invalid-field", "code")),
    "an unknown call": ("GET", f"/calls/{UNKNOWN}", None, (404, "not-found", "")),
    "accept an unknown call": ("POST", f"/calls/{UNKNOWN}/accept", None, (404, "not-found", "")),
    "decline an unknown call": ("POST", f"/calls/{UNKNOWN}/decline", None, (404, "not-found", "")),
    "an unknown message": ("DELETE", f"/messages/{UNKNOWN}", None, (404, "not-found", "")),
    "an unknown path": ("GET", "/nowhere", None, (404, "not-found", "")),
    "an unknown method": ("PATCH", "", None, (405, "method-not-allowed", "")),
}  # fmt: skip


class TestInstance:
    """Everything below /v1/instances/{id}."""

    @pytest.mark.parametrize("wrong", WRONG_REQUESTS)
    async def test_a_bad_request_is_a_problem(self, client: Client, wrong: str) -> None:
        made = (await client.create()).body
        method, path, body, problem = WRONG_REQUESTS[wrong]
        where = f"/v1/instances/{made['instance']}{path}"
        reply = await client.api(method, where, body, bearer=made["secret"])
        assert reply.problem == problem

    async def test_after_a_few_wrong_codes_the_right_one_is_void(self, client: Client) -> None:
        made = (await client.create()).body
        where = f"/v1/instances/{made['instance']}/verify"
        replies = [
            await client.api("POST", where, {"code": "no"}, bearer=made["secret"]) for _ in range(6)
        ]
        assert [it.status for it in replies] == [422] * 5 + [429]
        assert int(replies[-1].headers["Retry-After"]) > 0

    @pytest.mark.parametrize(
        "operation",
        [it for it in OPERATIONS if it.auth == "instance secret"],
        ids=lambda it: str(it.name),
    )
    async def test_a_foreign_secret_is_answered_as_an_unknown_instance_byte_for_byte(
        self, client: Client, operation: Any
    ) -> None:
        mine, theirs = [(await client.create(**target(token=it))).body for it in "ab"]
        names = {"mid": UNKNOWN, "call": UNKNOWN}
        seen = []
        for instance, bearer in (
            (theirs["instance"], mine["secret"]), (UNKNOWN, mine["secret"]),
            (theirs["instance"], ""), ("no id", mine["secret"]),
        ):  # fmt: skip
            path = operation.path.format(id=instance, **names)
            reply = await client.api(operation.method, path, b"{", bearer=bearer)
            headers = {k: v for k, v in reply.headers.items() if k != "Date"}
            seen.append((reply.status, reply.raw, headers))
        assert seen[0][0] == 404
        assert all(it == seen[0] for it in seen)

    async def test_targets_mode_and_lifetime_are_replaced(self, client: Client) -> None:
        made = (await client.create()).body
        where = f"/v1/instances/{made['instance']}"
        change = {**target(token="another"), "mode": "alternate", "ttl": 3600}
        reply = await client.api("PUT", where, change, bearer=made["secret"])
        assert (reply.status, reply.body["mode"], reply.body["ttl"]) == (200, "alternate", 3600)
        export = (await client.api("GET", f"{where}/export", bearer=made["secret"])).body
        assert [it["token"] for it in export["targets"]] == ["another"]

    async def test_an_export_holds_all_but_what_proves_the_account(self, client: Client) -> None:
        key = base64.b64encode(b"k" * 32).decode()
        made = (await client.create(push_key=key)).body
        where = f"/v1/instances/{made['instance']}/export"
        export = await client.api("GET", where, bearer=made["secret"])
        assert export.body["account"]["aor"] == "sip:alice@provider.example"
        assert export.body["credentials"] == "held, sealed"
        assert export.body["push_key"] == (b"k" * 32).hex()
        for secret in ("secret", made["secret"], made["relay"]["password"]):
            assert f'"{secret}"' not in export.raw.decode()

    async def test_a_message_is_there_until_it_is_acknowledged(self, town: Town) -> None:
        phone = await town.asleep(temper=Temper.IGNORE)
        await town.provider.message("alice", "hello")
        [message] = messages(await phone.here("GET", "/messages"))
        assert base64.b64decode(str(message["body"])) == b"hello"
        assert (await phone.here("DELETE", f"/messages/{message['id']}")).status == 204
        assert messages(await phone.here("GET", "/messages")) == []
        assert (await phone.here("DELETE", f"/messages/{message['id']}")).status == 404

    async def test_a_test_push_arrives_and_is_counted(self, town: Town) -> None:
        phone = await town.asleep()
        assert (await phone.here("POST", "/push-test")).body == {"accepted": 1}
        assert (await town.pushed(phone, "test"))["event"] == "test"


def messages(answer: Any) -> list[dict[str, object]]:
    return list(answer.body["messages"])


class TestReceipts:
    """GET /v1/receipts/{commitment}."""

    @pytest.mark.parametrize("name", ["ab", "zz" * 32, "00" * 32, "%00"])
    async def test_of_nothing_are_unknown(self, client: Client, name: str) -> None:
        assert (await client.api("GET", f"/v1/receipts/{name}")).problem[0] == 404

    async def test_are_not_there_before_the_end(self, client: Client) -> None:
        made = (await client.create()).body
        path = f"/v1/receipts/{made['receipt']['commitment']}"
        assert (await client.api("GET", path)).status == 404
        where = f"/v1/instances/{made['instance']}"
        assert (await client.api("DELETE", where, bearer=made["secret"])).status == 200
        assert (await client.api("GET", path)).body["reason"] == "disabled"


async def test_behind_a_proxy_each_client_has_a_budget_of_its_own(empty_town: Town) -> None:
    await empty_town.serve(api={"requests_per_minute": 1, "behind_proxy": True})
    async with aiohttp.ClientSession() as http:
        client = Client(empty_town, http)
        replies = [
            await client.api("GET", f"/v1/instances/{UNKNOWN}", headers={"X-Forwarded-For": seen})
            for seen in ("192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.1")
        ]
    assert [it.status for it in replies] == [404, 404, 429]


async def test_who_asks_too_often_is_told_when_to_come_back(empty_town: Town) -> None:
    await empty_town.serve(api={"requests_per_minute": 5})
    async with aiohttp.ClientSession() as http:
        client = Client(empty_town, http)
        replies = [await client.api("GET", f"/v1/instances/{UNKNOWN}") for _ in range(6)]
    assert [it.status for it in replies] == [404] * 5 + [429]
    assert replies[-1].problem == (429, "too-many-requests", "")
    assert int(replies[-1].headers["Retry-After"]) <= 13


class TestAdmin:
    """The operator's listener."""

    @pytest.mark.parametrize("path", ["/metrics", "/v1/admin/stats", "/v1/admin/instances"])
    async def test_wants_its_own_token(self, client: Client, path: str) -> None:
        for bearer in ("", "a guess", client.app_key):
            reply = await client.admin("GET", path, bearer=bearer)
            assert reply.problem == (401, "unauthorized", "")

    async def test_tells_everybody_of_its_health(self, client: Client) -> None:
        assert (await client.admin("GET", "/healthz", bearer="")).body == {"status": "alive"}
        ready = await client.admin("GET", "/readyz", bearer="")
        assert ready.status == 200

    async def test_lists_shows_and_deletes(self, client: Client) -> None:
        made = [(await client.create(**target(token=it))).body["instance"] for it in "abc"]
        listed = (await client.admin("GET", "/v1/admin/instances")).body
        assert {it["instance"] for it in listed["instances"]} == set(made)
        assert listed["next"] is None
        where = f"/v1/admin/instances/{made[0]}"
        assert (await client.admin("GET", where)).body["instance"] == made[0]
        assert (await client.admin("DELETE", where)).body["reason"] == "admin"
        assert (await client.admin("GET", where)).problem == (404, "not-found", "")
        assert (await client.admin("DELETE", where)).problem == (404, "not-found", "")
        rest = (await client.admin("GET", f"/v1/admin/instances?app={APP}")).body["instances"]
        assert {it["instance"] for it in rest} == set(made[1:])
        assert (await client.admin("GET", "/v1/admin/instances?app=other")).body["instances"] == []

    async def test_knows_a_page_only_by_its_number(self, client: Client) -> None:
        for after in ("x", "-1", "9" * 30):
            reply = await client.admin("GET", f"/v1/admin/instances?after={after}")
            assert reply.problem == (422, "invalid-field", "after")

    async def test_counts_by_app_and_by_state(self, town: Town, client: Client) -> None:
        phone: Handset = await town.asleep()
        await town.state(phone, "registered")
        stats = (await client.admin("GET", "/v1/admin/stats")).body
        assert stats["apps"][APP] == {"instances": 1, "targets": 1}
        assert stats["states"]["registered"] == 1
        metrics = ""
        while 'sipis_registrations_total{outcome="registered"} 1.0' not in metrics:
            metrics = (await client.admin("GET", "/metrics")).raw.decode()
        assert 'sipis_instances_created_total{app="demo"} 1.0' in metrics

    async def test_shows_what_is_known_of_each_push_target(self, client: Client) -> None:
        made = (await client.create(**target(token="a"))).body
        where = f"/v1/admin/instances/{made['instance']}"
        shown = (await client.admin("GET", where)).body
        assert shown["app"] == APP
        [known] = shown["targets"]
        assert (known["provider"], known["kind"], known["environment"]) == ("fcm", "token", None)
        assert (known["verified"], known["dead"]) == (False, False)
        assert known["given_at"] == shown["created_at"]

    async def test_shows_when_a_push_was_taken_last(self, town: Town, client: Client) -> None:
        phone = await town.asleep()
        where = f"/v1/admin/instances/{phone.instance['instance']}"
        accepted_at = None
        while accepted_at is None:
            [known] = (await client.admin("GET", where)).body["targets"]
            accepted_at = known["accepted_at"]
        assert known["given_at"] <= accepted_at
        assert known["verified"]

    async def test_shows_no_account_and_no_token(self, town: Town, client: Client) -> None:
        phone = await town.asleep()
        path = f"/v1/admin/instances/{phone.instance['instance']}"
        raw = (await client.admin("GET", path)).raw.decode()
        for private in ("alice", town.provider.domain, phone.push_token):
            assert private not in raw
