"""S23: the image runs without root, writes into its volumes alone, and holds no secret."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.container import USER, Contained, image_volumes, require_container_means
from tests.support.server import APP

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LAST_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


def instructions(name: str, text: str = LAST_STAGE) -> list[str]:
    joined = text.replace("\\\n", " ")
    return [line.split(None, 1)[1] for line in joined.splitlines() if line.startswith(name + " ")]


def test_the_process_runs_under_a_numbered_user_that_is_not_root() -> None:
    user = instructions("USER")[-1]
    assert user not in {"root", "0"}
    assert re.search(rf"useradd .*--uid [1-9]\d{{3,}}.* {user}\b", LAST_STAGE)
    after = LAST_STAGE[LAST_STAGE.index(f"USER {user}") :]
    assert "RUN" not in after


def test_all_that_is_written_lies_in_volumes() -> None:
    volumes = re.findall(r'"([^"]+)"', instructions("VOLUME")[0])
    config = (ROOT / "config" / "sipis.toml").read_text()
    named = re.findall(r'^#?(?:directory|epoch|slots)\s*=\s*"([^"]+)"', config, re.MULTILINE)
    written = [Path(instructions("WORKDIR")[-1], path) for path in named]
    assert len(written) >= 3
    assert all(any(path.is_relative_to(it) for it in volumes) for path in written)


def test_no_port_needs_a_capability() -> None:
    ports = [int(port) for port in re.findall(r"\b(\d+)(?:/\w+)?", instructions("EXPOSE")[0])]
    assert ports
    assert min(ports) >= 1024


def test_packages_are_locked_by_hash() -> None:
    assert "--require-hashes -r requirements.txt" in DOCKERFILE
    pins = [it for it in (ROOT / "requirements.txt").read_text().split("\n") if "==" in it]
    assert pins
    locked = (ROOT / "requirements.txt").read_text().count("--hash=sha256:")
    assert locked >= len(pins)


@pytest.mark.parametrize("secret", ["password", "token", "BEGIN", "secret", "api_key"])
def test_the_image_holds_no_secret(secret: str) -> None:
    assigned = re.findall(rf"(?im)^(?:ENV|ARG)\b.*{secret}.*=\S+", DOCKERFILE)
    assert assigned == []


def test_freed_memory_is_overwritten() -> None:
    environment = " ".join(instructions("ENV"))
    assert "PYTHONMALLOC=malloc" in environment
    assert "glibc.malloc.perturb=" in environment


def test_nothing_private_is_copied_into_the_build() -> None:
    copied = {word for line in instructions("COPY", DOCKERFILE) for word in line.split()[:-1]}
    assert copied.isdisjoint({".", "./", "data", ".env"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contained]:
    require_container_means()
    epoch, folder = f"{image_volumes()[1]}/epoch", tmp_path_factory.mktemp("container")
    server = Contained(folder, apps={APP: {"trial": True}}, keys={"epoch": epoch})
    server.start()
    yield server
    server.stop()


class TestRegime:
    """The server as the image runs it, hardened further as operators are told to."""

    def test_it_serves_without_root_capabilities_or_a_writable_root(
        self, server: Contained
    ) -> None:
        status = server.status()
        assert {*status["Uid"].split(), *status["Gid"].split()} == {str(USER)}
        assert {int(status[it], 16) for it in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == "1"
        assert server.writable_mounts() == set(image_volumes())

    def test_freed_memory_is_overwritten_in_it(self, server: Contained) -> None:
        assert server.program is not None
        first = server.program.output().splitlines()[0]
        assert "process hardened" in first
        assert "freed memory" not in first

    def test_an_account_lives_and_dies_in_it(self, server: Contained) -> None:
        account = {"aor": "sip:alice@127.0.0.1:5999", "password": "secret-of-the-container"}
        target = {"provider": "fcm", "kind": "token", "token": "a-token"}
        made = server.call(
            "POST", "/v1/instances", {"app_id": APP, "account": account, "targets": [target]}
        )
        assert made.status == 201, made.body
        secret, path = str(made.body["secret"]), f"/v1/instances/{made.body['instance']}"
        assert server.call("GET", path, bearer=secret).status == 200
        assert server.call("DELETE", path, bearer=secret).status == 200
        assert server.files_with("secret-of-the-container") == []
        assert (server.in_epoch / "epoch").stat().st_uid == USER

    def test_the_health_check_of_the_image_tells_a_server_that_serves_from_one_that_ended(
        self, server: Contained
    ) -> None:
        assert server.run("health").returncode == 0
        assert server.program is not None
        server.program.signal(signal.SIGTERM)
        assert server.program.wait() == 0
        assert server.run("health").returncode != 0
