"""Who may call: app keys and the admin token, held as SHA-256; they follow their files.

Refuses to keep a key in clear and to tell an unknown key from a wrong one.
"""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from sipis.config import AppSettings
from sipis.errors import ConfigError

LONGEST_BEARER = 512


def bearer(request: web.Request) -> str:
    """The bearer token of a request (RFC 6750 section 2.1), or an empty text."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip()[:LONGEST_BEARER] if scheme.lower() == "bearer" else ""


def password(request: web.Request) -> str:
    """The password of a request (RFC 7617), or an empty text; the user's name means nothing."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        text = b64decode(encoded[:LONGEST_BEARER], validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return ""
    return text.partition(":")[2]


def digest(text: str) -> bytes:
    """The form in which a key is kept and compared."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


class KeyFile:
    """One key on disk; its digest follows the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = b""
        self.reload()

    def reload(self) -> None:
        """Read the file; ConfigError when there is no key in it, and the one before serves on."""
        try:
            key = self.path.read_text(encoding="utf-8").strip()
        except OSError as missing:
            raise ConfigError(str(self.path), missing.strerror or "cannot be read") from None
        except UnicodeDecodeError:
            raise ConfigError(str(self.path), "is no text") from None
        if not key:
            raise ConfigError(str(self.path), "is empty")
        self._digest = digest(key)

    def matches(self, offered: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self._digest, offered)


class AppKeys:
    """The keys of all apps; two keys of one app may overlap while one replaces the other."""

    def __init__(self, apps: Mapping[str, AppSettings]) -> None:
        self._keys = [(app, KeyFile(path)) for app, it in apps.items() for path in it.key_files]

    def reload(self) -> None:
        """Read all files; ConfigError for the first without a key: its former one serves on."""
        failed: list[ConfigError] = []
        for _, key in self._keys:
            try:
                key.reload()
            except ConfigError as wrong:
                failed.append(wrong)
        if failed:
            raise failed[0]

    def app_of(self, offered: str) -> str | None:
        """The app whose key was offered; looks at all keys, whichever matches."""
        wanted, found = digest(offered), None
        for app, key in self._keys:
            if key.matches(wanted):
                found = app
        return found
