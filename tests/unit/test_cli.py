"""The commands as an operator types them: what they print, how they end, what they leave behind."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sipis import __version__
from sipis.cli import app
from tests.support.server import to_toml

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def configured(folder: Path, **sections: object) -> tuple[str, str]:
    """The option that names a configuration with these sections, off every port."""
    quiet = {
        "api": {"port": 0},
        "admin": {"port": 0},
        "sip": {"provider_listeners": ["udp:127.0.0.1:0"], "app_listeners": ["tcp:127.0.0.1:0"]},
        "store": {"directory": str(folder / "data")},
        "keys": {"allow_copy_on_write": True},
    }
    path = folder / "sipis.toml"
    path.write_text(to_toml({**quiet, **sections}))
    return "--config", str(path)


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


def failed_in_one_line(result: Result, *words: str) -> None:
    """Exit code 1, one line on standard error that has these words, nothing like a traceback."""
    assert result.exit_code == 1, result.output
    assert not result.exception or isinstance(result.exception, SystemExit)
    [line] = [it for it in result.stderr.splitlines() if not it.startswith("{")]
    for word in words:
        assert word in line


def test_the_version_is_printed() -> None:
    assert run("version").stdout == f"{__version__}\n"


def test_a_check_without_a_file_looks_at_the_defaults_and_makes_nothing(folder: Path) -> None:
    result = run("check-config")
    assert result.exit_code == 0
    assert "the configuration is valid" in result.stdout
    assert files(folder) == set()


def test_a_check_warns_of_what_is_unwise(folder: Path) -> None:
    result = run("check-config", *configured(folder, apps={"phone": {"trial": True}}))
    assert result.exit_code == 0
    for word in ("sip.provider_listeners", "apps.phone.trial", "apps.phone.key_files"):
        assert f"warning: {word}" in result.stdout
    assert files(folder) == {"sipis.toml"}


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "an unknown key": ({"api": {"prot": 1}}, "api.prot"),
    "a wrong type": ({"api": {"port": "many"}}, "api.port"),
    "a public API in clear": ({"api": {"host": "0.0.0.0"}}, "api: an address other than loopback"),
    "a secret in place": ({"apps": {"phone": {"key": "hunter2"}}}, "apps.phone.key"),
    "no transport": ({"sip": {"provider_listeners": ["5060"]}}, "sip.provider_listeners"),
    "no network": ({"network": {"allow": ["intranet"]}}, "network.allow"),
    "no policy": ({"providers": {"a.example": {"udp_source": "some"}}}, "providers.a.example"),
    "no certificate": ({"api": {"cert_file": "no.pem", "key_file": "no.pem"}}, "api.cert_file"),
    "no app key": ({"apps": {"phone": {"key_files": ["no.key"]}}}, "no.key"),
    "no KEK": ({"keys": {"kek_file": "no.kek"}}, "no.kek"),
    "no admin token": ({"admin": {"token_file": "no.token"}}, "no.token"),
    "no push key": (
        {"apps": {"phone": {"fcm": {"service_account_file": "no.json"}}}}, "no.json"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_check_names_what_would_stop_a_start(folder: Path, wrong: str) -> None:
    sections, word = WRONG[wrong]
    result = run("check-config", *configured(folder, **sections))
    assert result.exit_code == 1
    assert word in result.output
    assert "hunter2" not in result.output
    assert "Traceback" not in result.output
    assert files(folder) == {"sipis.toml"}


@pytest.mark.parametrize("wrong", [name for name in WRONG if name != "no admin token"])
def test_what_a_check_finds_stops_the_start_with_the_same_words(folder: Path, wrong: str) -> None:
    sections, word = WRONG[wrong]
    failed_in_one_line(run("serve", *configured(folder, **sections)), word)


def test_a_missing_configuration_is_named() -> None:
    failed_in_one_line(run("serve", "--config", "absent.toml"), "absent.toml", "No such file")


def test_a_store_where_a_file_lies_is_one_line(folder: Path) -> None:
    (folder / "taken").write_text("")
    (folder / "t").write_text("token")
    taken = configured(folder, store={"directory": "taken"})
    failed_in_one_line(run("serve", *taken), "taken")
    taken = configured(folder, store={"directory": "taken"}, admin={"token_file": "t"})
    failed_in_one_line(run("serve", *taken), "taken", "File exists")


def test_an_epoch_slot_that_cannot_be_made_is_one_line(folder: Path) -> None:
    (folder / "taken").write_text("")
    lost = configured(folder, keys={"epoch": str(folder / "taken" / "epoch")})
    failed_in_one_line(run("serve", *lost), "taken")


@pytest.fixture
def taken_ports() -> Iterator[dict[str, int]]:
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        for one in (stream, datagram):
            one.bind(("127.0.0.1", 0))
        stream.listen()
        yield {"tcp": stream.getsockname()[1], "udp": datagram.getsockname()[1]}


@pytest.mark.parametrize("who", ["api", "admin", "provider", "app"])
def test_a_port_in_use_is_one_line(folder: Path, taken_ports: dict[str, int], who: str) -> None:
    tcp, udp = taken_ports["tcp"], taken_ports["udp"]
    listeners = {
        "provider_listeners": [f"udp:127.0.0.1:{udp if who == 'provider' else 0}"],
        "app_listeners": [f"tcp:127.0.0.1:{tcp if who == 'app' else 0}"],
    }
    ports = {name: {"port": tcp if who == name else 0} for name in ("api", "admin")}
    result = run("serve", *configured(folder, sip=listeners, **ports))
    failed_in_one_line(result, who, "in use")


def test_a_key_that_is_not_ours_changes_no_file(folder: Path) -> None:
    start = configured(folder, api={"port": 99})  # port 99 needs root; whatever fails comes later
    run("serve", *configured(folder, sip={"provider_listeners": ["udp:203.0.113.1:1"]}))
    data = folder / "data"
    (data / "kek").chmod(0o600)
    (data / "kek").write_bytes(b"k" * 32)
    before = {path: path.read_bytes() for path in data.iterdir()}
    for command in ("check-config", "serve"):
        result = run(command, *start)
        assert result.exit_code == 1
        assert "the KEK does not open it" in result.output
    assert {path: path.read_bytes() for path in data.iterdir()} == before


def test_a_missing_key_is_never_made_anew(folder: Path) -> None:
    run("serve", *configured(folder, sip={"provider_listeners": ["udp:203.0.113.1:1"]}))
    data = folder / "data"
    (data / "kek").unlink()
    before = {path: path.read_bytes() for path in data.iterdir()}
    failed_in_one_line(run("serve", *configured(folder)), "KEK file", "No such file")
    assert {path: path.read_bytes() for path in data.iterdir()} == before


OPERATING = [("health",), ("instances", "list"), ("instances", "show", "a b"),
             ("instances", "delete", "../stats")]  # fmt: skip


@pytest.mark.parametrize("command", OPERATING, ids=" ".join)
def test_without_a_server_it_says_so_and_makes_nothing(
    folder: Path, command: tuple[str, ...]
) -> None:
    failed_in_one_line(run(*command, *configured(folder)), "admin.token", "No such file")
    (folder / "token").write_text("a token")
    mute = configured(folder, admin={"token_file": "token", "port": 1})
    failed_in_one_line(run(*command, *mute), "no sipis server answers at 127.0.0.1:1")
    assert files(folder) == {"sipis.toml", "token"}


def test_square_brackets_are_shown_as_they_are(folder: Path) -> None:
    (folder / "x.toml").write_text("[api")
    failed_in_one_line(run("serve", "--config", "x.toml"), "is not TOML")
    failed_in_one_line(run("serve", "--config", "[dim]"), "[dim]")
