"""What the operator's commands ask of a running server, over its admin listener.

Refuses to make anything: the address and the token are those with which the server was started.
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sipis.app.first_start import admin_token_file
from sipis.config import Settings
from sipis.errors import ConfigError, TransportError
from sipis.vault.search import Wanted

PATIENCE = 10.0
_INSTANCES = "/v1/admin/instances"

Body = Mapping[str, Any]
"""JSON of the admin listener, shown as it came."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of the admin listener."""

    status: int
    body: Body


class AdminClient:
    """Asks the server that runs with these settings.

    ConfigError when its token cannot be read, TransportError when it does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        host, self._port = settings.admin.host, settings.admin.port
        self._host = f"[{host}]" if ":" in host else host
        self._token = _token(settings)

    def readiness(self) -> Said:
        """Whether it serves, and what troubles it."""
        return self._ask("GET", "/readyz")

    def instances(self) -> Iterator[Body]:
        """All instances, a page at a time."""
        after: int | None = 0
        while after is not None:
            page = self._expect("GET", f"{_INSTANCES}?after={after}")
            yield from page["instances"]
            after = page["next"]

    def show(self, instance: str) -> Body:
        """One instance."""
        return self._expect("GET", f"{_INSTANCES}/{quote(instance, safe='')}")

    def delete(self, instance: str) -> Body:
        """Destroy one instance; its receipt."""
        return self._expect("DELETE", f"{_INSTANCES}/{quote(instance, safe='')}")

    def audit(self) -> Body:
        """The transparency log at a glance."""
        return self._expect("GET", "/v1/admin/audit")

    def log_lines(self) -> Iterator[bytes]:
        """All lines of the log, some thousands at a time."""
        first = 0
        while lines := self._fetch(f"/v1/admin/log?first={first}"):
            yield lines
            first += lines.count(b"\n")

    def checkpoints(self) -> bytes:
        """All published checkpoints."""
        return self._fetch("/v1/admin/checkpoints")

    def log_keys(self) -> bytes:
        """The verifier keys of the log."""
        return self._fetch("/v1/admin/keys")

    def remove_app(self, app: str) -> int:
        """Destroy all instances of an app; how many there were."""
        removed: int = self._expect("DELETE", f"/v1/admin/apps/{quote(app, safe='')}")["removed"]
        return removed

    def plant(self, marker: str) -> Body:
        """Plant an instance whose user, password and push token are the marker."""
        return self._expect("POST", "/v1/admin/audit/plant", {"marker": marker})

    def copies_in_memory(self, wanted: Wanted) -> Body:
        """Have the server look for copies in its own memory."""
        body = {"mask": wanted.mask.hex(), "masked": wanted.masked.hex()}
        return self._expect("POST", "/v1/admin/audit/search", body)

    def _expect(self, method: str, path: str, body: Body | None = None) -> Body:
        said = self._ask(method, path, body)
        if said.status >= 300:
            problem = said.body.get("detail") or said.body.get("title")
            raise TransportError(str(problem or f"the server answered {said.status}"))
        return said.body

    def _ask(self, method: str, path: str, body: Body | None = None) -> Said:
        try:
            with self._open(method, path, body) as response:
                return Said(response.status, json.load(response))
        except urllib.error.HTTPError as refused:
            return Said(refused.code, _problem(refused))
        except (OSError, http.client.HTTPException, ValueError):
            raise self._silence() from None

    def _fetch(self, path: str) -> bytes:
        try:
            with self._open("GET", path) as response:
                return response.read()
        except urllib.error.HTTPError as refused:
            raise TransportError(f"the server answered {refused.code}") from None
        except (OSError, http.client.HTTPException):
            raise self._silence() from None

    def _open(self, method: str, path: str, body: Body | None = None) -> http.client.HTTPResponse:
        url = f"http://{self._host}:{self._port}{path}"
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        opened: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE)  # noqa: S310 - as above
        return opened

    def _silence(self) -> TransportError:
        return TransportError(f"no sipis server answers at {self._host}:{self._port}")


def _token(settings: Settings) -> str:
    path = admin_token_file(settings)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as failed:
        problem = failed.strerror if isinstance(failed, OSError) else "is no text"
        raise ConfigError(f"admin.token_file: {path}", problem or "cannot be read") from None


def _problem(refused: urllib.error.HTTPError) -> Body:
    try:
        said = json.load(refused)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
