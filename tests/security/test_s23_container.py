"""S23: the image runs without root, writes into its volumes alone, and holds no secret."""

import re
from pathlib import Path

import pytest

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
