"""The command line: serve, check, show, try.

Refuses to take a secret as an argument: arguments are visible to every process of the machine.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from sipis import __version__
from sipis.app.checks import findings_of
from sipis.app.first_start import ready_to_serve
from sipis.app.keys import rotate_kek
from sipis.app.operator import AdminClient
from sipis.app.residue import search
from sipis.app.serve import serve_until_stopped
from sipis.audit.export import verifier
from sipis.audit.verifier.__main__ import LIMITS, check_evidence
from sipis.audit.verifier.rules import Limits
from sipis.config import Settings, load
from sipis.errors import SipisError

app = typer.Typer(
    help="A push-notification relay server that lets a SIP softphone sleep.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
instances = typer.Typer(help="Look at instances and delete them.", no_args_is_help=True)
app.add_typer(instances, name="instances")
audit = typer.Typer(help="Look at the evidence of deletion and check it.", no_args_is_help=True)
app.add_typer(audit, name="audit")
keys = typer.Typer(help="Care for the key store of a server that is stopped.", no_args_is_help=True)
app.add_typer(keys, name="keys")
Config = Annotated[Path | None, typer.Option(help="The TOML file; none: embedded defaults.")]

_out = Console(highlight=False, soft_wrap=True, markup=False)
_err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
_stage = Console(highlight=False, soft_wrap=True)
"""Where the story is told, in colours."""


@app.command()
def serve(config: Config = None) -> None:
    """Run the server until SIGTERM or SIGINT."""
    with _one_line_for_errors():
        settings = load(config, os.environ)
        settings = ready_to_serve(settings, os.urandom, configured=config is not None)
        uvloop.run(serve_until_stopped(settings, announce=_out.print))


@app.command("check-config")
def check_config(config: Config = None) -> None:
    """Read the configuration, say what is wrong or unwise; exit 1 on an error."""
    found = findings_of(_settings(config))
    for finding in found:
        _out.print(f"{finding.level}: {finding.text}")
    if any(finding.fatal for finding in found):
        raise typer.Exit(1)
    _out.print("the configuration is valid")


@app.command()
def demo() -> None:
    """Tell the story of a sleeping phone on one screen."""
    from sipis.demo import tell  # noqa: PLC0415 - a server must not wait for the world to load

    raise typer.Exit(uvloop.run(tell(_stage)))


@app.command()
def world(
    seed: Annotated[
        int | None, typer.Option(help="Misbehave, reproducibly, from this seed.")
    ] = None,
) -> None:
    """Run a SIP provider, APNs and FCM on loopback, to develop an app against."""
    from sipis.world.stage import open_stage  # noqa: PLC0415 - as above

    with suppress(KeyboardInterrupt):
        uvloop.run(open_stage(_out.print, seed))


@app.command()
def health(config: Config = None) -> None:
    """Ask the running server whether it is ready; exit 1 when it is not."""
    with _one_line_for_errors():
        said = AdminClient(_settings(config)).readiness()
    _out.print(json.dumps(dict(said.body)))
    raise typer.Exit(0 if said.status == 200 else 1)


@app.command()
def version() -> None:
    """Print the version."""
    _out.print(__version__)


@instances.command("list")
def list_instances(config: Config = None) -> None:
    """List all instances: id, app, state, expiry."""
    with _one_line_for_errors():
        for it in AdminClient(_settings(config)).instances():
            _out.print(f"{it['instance']}  {it['app']}  {it['state']}  {it['expires_at']}")


@instances.command("show")
def show_instance(instance: str, config: Config = None) -> None:
    """Show one instance."""
    with _one_line_for_errors():
        shown = AdminClient(_settings(config)).show(instance)
    _out.print(json.dumps(shown, indent=2))


@instances.command("delete")
def delete_instance(instance: str, config: Config = None) -> None:
    """Destroy one instance now and print its receipt."""
    with _one_line_for_errors():
        receipt = AdminClient(_settings(config)).delete(instance)
    _out.print(json.dumps(receipt, indent=2))


@audit.command("show")
def show_log(config: Config = None) -> None:
    """Show the transparency log of the running server at a glance."""
    with _one_line_for_errors():
        shown = AdminClient(_settings(config)).audit()
    _out.print(json.dumps(shown, indent=2))


@audit.command("export")
def export_log(folder: Path, config: Config = None) -> None:
    """Write log, checkpoints, keys and the verifier into a folder, for an auditor to take away."""
    with _one_line_for_errors():
        client = AdminClient(_settings(config))
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.jsonl").open("wb") as file:
            file.writelines(client.log_lines())
        (folder / "checkpoints").write_bytes(client.checkpoints())
        (folder / "keys").write_bytes(client.log_keys())
        (folder / "verify.pyz").write_bytes(verifier())
    _out.print(f"python3 {folder}/verify.pyz {folder}")


@audit.command("verify")
def verify_evidence(
    what: Annotated[Path, typer.Argument(help="A receipt, or the folder of an export.")],
    *,
    key: Annotated[Path | None, typer.Option(help="Verifier keys, one a line.")] = None,
    opening: Annotated[str, typer.Option(help="INSTANCE:SALT as the app was given them.")] = "",
    kept: Annotated[Path | None, typer.Option(help="Checkpoints of an earlier visit.")] = None,
    late: Annotated[int, typer.Option(help=LIMITS["late"])] = Limits.late,
    roll: Annotated[int, typer.Option(help=LIMITS["roll"])] = Limits.roll,
    epoch: Annotated[int, typer.Option(help=LIMITS["epoch"])] = Limits.epoch,
    canary: Annotated[int, typer.Option(help=LIMITS["canary"])] = Limits.canary,
) -> None:
    """Check a receipt or an export, offline; exit 1 unless everything holds."""
    limits = Limits(epoch, roll, canary, late)
    holds, lines = check_evidence(what, key, opening=opening, kept=kept, limits=limits)
    for line in lines:
        _out.print(line)
    raise typer.Exit(0 if holds else 1)


@audit.command("plant")
def plant_marker(
    marker: Annotated[str, typer.Argument(help="12 to 64 characters; none: a random one.")] = "",
    config: Config = None,
) -> None:
    """Plant an instance of nobody's with a marker as user, password and push token."""
    marker = marker or f"marker-{os.urandom(16).hex()}"
    with _one_line_for_errors():
        planted = AdminClient(_settings(config)).plant(marker)
    _out.print(json.dumps({"marker": marker, **planted}, indent=2))


@audit.command("scan")
def scan_for_marker(
    marker: str,
    also: Annotated[list[Path] | None, typer.Option(help="A further file or folder.")] = None,
    config: Config = None,
) -> None:
    """Look for a marker in all files and in the server's memory; exit 1 when it is found."""
    with _one_line_for_errors():
        found = search(_settings(config), marker, also or ())
    for line in found.lines:
        _out.print(line)
    raise typer.Exit(0 if found.clean else 1)


@audit.command("demo")
def demonstrate() -> None:
    """Plant an instance, delete it, prove it offline, forge the proof and be caught."""
    from sipis.audit_demo import tell_of_deletion  # noqa: PLC0415 - needs a server of its own

    raise typer.Exit(uvloop.run(tell_of_deletion(_stage)))


@keys.command("rotate-kek")
def rotate_key_encryption_key(
    new: Annotated[Path, typer.Option(help="A file with the new KEK: 32 bytes, or their base64.")],
    config: Config = None,
) -> None:
    """Wrap the epoch key under a new KEK; from then on the old one opens nothing."""
    with _one_line_for_errors():
        generation = uvloop.run(rotate_kek(_settings(config), new))
    _out.print(f"epoch {generation} is wrapped by the KEK in {new}")
    _out.print("point keys.kek_file (or the credential sipis-kek) at it, then destroy the old one")


@instances.command("remove-app")
def remove_app(app_id: str, config: Config = None) -> None:
    """Destroy all instances of an app, also of one that is not configured any more."""
    with _one_line_for_errors():
        removed = AdminClient(_settings(config)).remove_app(app_id)
    _out.print(f"{removed} instances destroyed")


def _settings(config: Path | None) -> Settings:
    with _one_line_for_errors():
        return load(config, os.environ)


@contextmanager
def _one_line_for_errors() -> Iterator[None]:
    """An expected failure is one line on standard error and exit code 1."""
    try:
        yield
    except SipisError as failed:
        _err.print(str(failed))
        raise typer.Exit(1) from None
