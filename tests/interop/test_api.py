"""The API as curl sees it, on a server that nobody configured."""

import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.processes import Program, free_port, free_port_pair, wait_until
from tests.support.server import Answer, http_call

ACCOUNT = {"aor": "sip:alice@provider.example", "password": "secret"}
TARGET = {"provider": "fcm", "kind": "token", "token": "a-registration-token"}
BODY: dict[str, object] = {"app_id": "default", "account": ACCOUNT, "targets": [TARGET]}
PROBLEMS = "urn:sipis:problem:"


@dataclass(frozen=True)
class Unconfigured:
    """`sipis serve` in an empty folder; only its ports were moved."""

    folder: Path
    program: Program
    port: int
    admin_port: int

    @property
    def app_key(self) -> str:
        return (self.folder / "data/app.key").read_text().strip()

    def call(self, method: str, path: str, body: object = None, bearer: str = "",
             headers: dict[str, str] | None = None) -> Answer:  # fmt: skip
        return http_call(self.port, method, path, body, bearer=bearer, headers=headers)

    def create(self, body: object = BODY) -> Answer:
        return self.call("POST", "/v1/instances", body, self.app_key)

    def is_ready(self) -> bool:
        assert self.program.running, self.program.output()[-3000:]
        token = self.folder / "data/admin.token"
        try:
            bearer = token.read_text().strip()
            return http_call(self.admin_port, "GET", "/readyz", bearer=bearer).status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unconfigured]:
    folder = tmp_path_factory.mktemp("empty")
    port, admin_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    program = Program(
        [sys.executable, "-m", "sipis", "serve"], folder, name="sipis",
        environment={
            "PYTHONPATH": str(Path.cwd()),
            "SIPIS_API__PORT": str(port),
            "SIPIS_ADMIN__PORT": str(admin_port),
            "SIPIS_SIP__PROVIDER_LISTENERS": f"udp:127.0.0.1:{free_port()}",
            "SIPIS_SIP__APP_LISTENERS": f"tcp:127.0.0.1:{free_port_pair()}",
        },
    )  # fmt: skip
    unconfigured = Unconfigured(folder, program, port, admin_port)
    wait_until(unconfigured.is_ready, "sipis to be ready")
    yield unconfigured
    program.stop()


def test_it_says_where_the_keys_are_and_keeps_them_to_itself(server: Unconfigured) -> None:
    for name in ("app.key", "admin.token"):
        path = server.folder / "data" / name
        assert f"data/{name}" in server.program.output()
        assert path.stat().st_mode & 0o777 == 0o400
        assert path.read_text().strip() not in server.program.output()


def test_an_instance_is_created_read_refreshed_and_deleted(server: Unconfigured) -> None:
    created = server.create()
    assert created.status == 201
    secret = str(created.body["secret"])
    where = f"/v1/instances/{created.body['instance']}"

    stands = server.call("GET", where, bearer=secret)
    assert stands.status == 200
    assert stands.body["expires_at"] == created.body["expires_at"]

    refreshed = server.call("POST", f"{where}/refresh", {"ttl": 600_000}, secret)
    assert refreshed.status == 200
    assert str(refreshed.body["expires_at"]) > str(stands.body["expires_at"])

    receipt = server.call("DELETE", where, bearer=secret)
    assert receipt.status == 200
    opening = created.body["receipt"]
    assert isinstance(opening, dict)
    assert receipt.body["commitment"] == opening["commitment"]
    assert server.call("GET", f"/v1/receipts/{opening['commitment']}").body == receipt.body
    assert server.call("GET", where, bearer=secret).status == 404


def test_the_same_order_twice_makes_one_instance(server: Unconfigured) -> None:
    headers = {"Idempotency-Key": "c0ffee00-0000-4000-8000-000000000001"}
    first, again = (
        server.call("POST", "/v1/instances", BODY, server.app_key, headers) for _ in range(2)
    )
    assert first.body["instance"] == again.body["instance"]
    where = f"/v1/instances/{first.body['instance']}"
    assert server.call("GET", where, bearer=str(first.body["secret"])).status == 404
    assert server.call("GET", where, bearer=str(again.body["secret"])).status == 200


def changed(**account: object) -> dict[str, object]:
    return BODY | {"account": ACCOUNT | account}


WRONG_BODIES: dict[str, tuple[object, int, str, str]] = {
    "no JSON": (b'{"app_id": ', 400, "invalid-json", ""),
    "no object": ([1, 2], 400, "invalid-json", ""),
    "an unknown key": (BODY | {"ringtone": 1}, 422, "unknown-field", "ringtone"),
    "an unknown key below": (changed(pass_word="x"), 422, "unknown-field", "account.pass_word"),
    "no URI": (changed(aor="alice"), 422, "invalid-field", "account.aor"),
    "no SIP URI": (changed(aor="mailto:a@b.example"), 422, "invalid-field", "account.aor"),
    "a line break": (
        changed(display_name="Eve\r\nX: y"), 422, "invalid-field", "account.display_name"),
    "loopback as registrar": (
        changed(registrar="sip:127.0.0.1:5060"), 422, "refused-address", "account.registrar"),
    "a private registrar": (
        changed(registrar="sip:10.0.0.1"), 422, "refused-address", "account.registrar"),
    "a disguised registrar": (
        changed(registrar="sip:[::ffff:127.0.0.1]"), 422, "refused-address", "account.registrar"),
    "no target": (BODY | {"targets": []}, 422, "invalid-field", "targets"),
    "a foreign app": (BODY | {"app_id": "another"}, 422, "invalid-field", "app_id"),
    "too much": (BODY | {"padding": "x" * 40_000}, 413, "too-large", ""),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_BODIES)
def test_a_wrong_body_gets_a_problem_that_names_the_field(wrong: str, server: Unconfigured) -> None:
    body, status, kind, field = WRONG_BODIES[wrong]
    assert_problem(server.create(body), status, kind, field)


def test_who_has_no_key_creates_nothing(server: Unconfigured) -> None:
    for bearer in ("", "a guess"):
        answer = server.call("POST", "/v1/instances", BODY, bearer)
        assert_problem(answer, 401, "unauthorized")


def test_a_foreign_secret_learns_nothing_that_an_unknown_instance_does_not(
    server: Unconfigured,
) -> None:
    mine, theirs = server.create().body, server.create().body
    path = f"/v1/instances/{theirs['instance']}"
    foreign = server.call("GET", path, bearer=str(mine["secret"]))
    unknown = server.call("GET", f"/v1/instances/{'0' * 32}", bearer=str(mine["secret"]))

    assert_problem(foreign, 404, "not-found")
    assert foreign.body == unknown.body
    changing = {"date", "x-request-id"}
    assert headers_but(foreign, changing) == headers_but(unknown, changing)


def test_a_method_that_does_not_exist_is_told_which_do(server: Unconfigured) -> None:
    answer = server.call("PATCH", "/v1/instances", BODY, server.app_key)
    assert_problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["allow"]


def test_the_document_describes_every_path(server: Unconfigured) -> None:
    document = server.call("GET", "/openapi.json")
    assert document.status == 200
    paths = document.body["paths"]
    assert isinstance(paths, dict)
    assert {"/v1/instances", "/v1/instances/{id}/calls/{call}/accept"} <= paths.keys()


def test_the_admin_listener_wants_its_token(server: Unconfigured) -> None:
    assert http_call(server.admin_port, "GET", "/metrics").status == 401
    assert http_call(server.admin_port, "GET", "/metrics", bearer=server.app_key).status == 401


def assert_problem(answer: Answer, status: int, kind: str, field: str = "") -> None:
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (answer.status, answer.body["type"]) == (status, PROBLEMS + kind)
    assert answer.body.get("field", "") == field


def headers_but(answer: Answer, names: set[str]) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in names}
