"""One import for the HTTP/2 library: `jh2` (Rust HPACK, same interface) where installed, else `h2`.

Refuses to be configured: measured by bench/push.py, jh2 halves the CPU per push.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

NAME: Final = "jh2" if find_spec("jh2") else "h2"

if TYPE_CHECKING:
    from h2 import config, connection, errors, events, exceptions, settings
    from hpack import NeverIndexedHeaderTuple
else:
    config = import_module(f"{NAME}.config")
    connection = import_module(f"{NAME}.connection")
    errors = import_module(f"{NAME}.errors")
    events = import_module(f"{NAME}.events")
    exceptions = import_module(f"{NAME}.exceptions")
    settings = import_module(f"{NAME}.settings")
    _hpack = "jh2.hpack" if NAME == "jh2" else "hpack"
    NeverIndexedHeaderTuple = import_module(_hpack).NeverIndexedHeaderTuple

__all__ = [
    "NAME",
    "NeverIndexedHeaderTuple",
    "config",
    "connection",
    "errors",
    "events",
    "exceptions",
    "settings",
]
