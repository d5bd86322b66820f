"""The command line: serve, check, show, try.

Refuses to take a secret as an argument: arguments are visible to every process of the machine.
"""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvloop
from rich.console import Console

from sipis import __version__
from sipis.app.checks import findings_of
from sipis.app.first_start import with_admin_token, with_first_app
from sipis.app.serve import serve_until_stopped
from sipis.config import Settings, load
from sipis.demo import tell
from sipis.errors import SipisError
from sipis.world.stage import open_stage

app = typer.Typer(
    help="A push-notification relay server that lets a SIP softphone sleep.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
instances = typer.Typer(help="Look at instances and delete them.", no_args_is_help=True)
app.add_typer(instances, name="instances")
Config = Annotated[Path | None, typer.Option(help="The TOML file; none: embedded defaults.")]
Body = dict[str, Any]
"""JSON of the admin listener, shown as it came."""

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def serve(config: Config = None) -> None:
    """Run the server until SIGTERM or SIGINT."""
    settings = _settings(config)
    try:
        uvloop.run(serve_until_stopped(settings, announce=_out.print))
    except SipisError as failed:
        _fail(str(failed))


@app.command("check-config")
def check_config(config: Config = None) -> None:
    """Read the configuration, say what is wrong or unwise; exit 1 on an error."""
    settings = _settings(config)
    found = findings_of(settings)
    for finding in found:
        _out.print(f"{finding.level}: {finding.text}")
    if any(finding.fatal for finding in found):
        raise typer.Exit(1)
    _out.print("the configuration is valid")


@app.command()
def demo() -> None:
    """Tell the story of a sleeping phone on one screen."""
    raise typer.Exit(uvloop.run(tell(_out)))


@app.command()
def world(
    seed: Annotated[
        int | None, typer.Option(help="Misbehave, reproducibly, from this seed.")
    ] = None,
) -> None:
    """Run a SIP provider, APNs and FCM on loopback, to develop an app against."""
    uvloop.run(open_stage(_out.print, seed))


@app.command()
def health(config: Config = None) -> None:
    """Ask the running server whether it is ready; exit 1 when it is not."""
    status, body = _ask(_settings(config), "GET", "/readyz")
    _out.print(json.dumps(body))
    raise typer.Exit(0 if status == 200 else 1)


@app.command()
def version() -> None:
    """Print the version."""
    _out.print(__version__)


@instances.command("list")
def list_instances(config: Config = None) -> None:
    """List all instances: id, app, state, expiry."""
    settings, after = _settings(config), 0
    while after is not None:
        page = _expect(_ask(settings, "GET", f"/v1/admin/instances?after={after}"))
        for it in page["instances"]:
            _out.print(f"{it['instance']}  {it['app']}  {it['state']}  {it['expires_at']}")
        after = page["next"]


@instances.command("show")
def show_instance(instance: str, config: Config = None) -> None:
    """Show one instance."""
    body = _expect(_ask(_settings(config), "GET", f"/v1/admin/instances/{instance}"))
    _out.print(json.dumps(body, indent=2))


@instances.command("delete")
def delete_instance(instance: str, config: Config = None) -> None:
    """Destroy one instance now and print its receipt."""
    body = _expect(_ask(_settings(config), "DELETE", f"/v1/admin/instances/{instance}"))
    _out.print(json.dumps(body, indent=2))


def _settings(config: Path | None) -> Settings:
    try:
        settings = load(config, os.environ)
        if config is None:
            settings = with_first_app(settings, os.urandom)
        return with_admin_token(settings, os.urandom)
    except SipisError as wrong:
        _fail(str(wrong))
    except OSError as wrong:
        _fail(f"{wrong.filename}: {wrong.strerror}")


def _ask(settings: Settings, method: str, path: str) -> tuple[int, Body]:
    """Talk to the admin listener of the server that runs with these settings."""
    token_file = settings.admin.token_file
    token = token_file.read_text().strip() if token_file else ""
    url = f"http://{settings.admin.host}:{settings.admin.port}{path}"
    request = urllib.request.Request(
        url, method=method, headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
    except OSError:
        _fail("the server does not answer")


def _expect(answer: tuple[int, Body]) -> Body:
    status, body = answer
    return body if status < 300 else _fail(str(body.get("detail") or body["title"]))


def _fail(text: str) -> NoReturn:
    _err.print(text)
    raise typer.Exit(1)
