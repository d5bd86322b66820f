"""What anybody may know of the transparency log: its newest checkpoint, its keys, its consistency.

Refuses leaves: they are pseudonymous, and go to auditors over the admin listener.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sipis.api import problems, schema
from sipis.api.edge import answer
from sipis.api.problems import Problem
from sipis.audit import Notary, chronicle
from sipis.store import leaves
from sipis.store.runner import Store

_LONGEST_NUMBER = 15


class EvidenceHandlers:
    """The public face of the log."""

    def __init__(self, notary: Notary, store: Store) -> None:
        self._notary = notary
        self._store = store

    async def log_checkpoint(self, _: web.Request) -> web.Response:
        """GET /v1/log/checkpoint (C2SP tlog-checkpoint)."""
        latest = self._notary.latest
        if latest is None:
            raise Problem(problems.UNAVAILABLE, "nothing is signed yet", retry_after=60)
        return web.Response(text=latest.text)

    async def log_key(self, _: web.Request) -> web.Response:
        """GET /v1/log/key: a verifier key a line, the one in force first."""
        keys = self._notary.verifier_keys()
        if not keys:
            raise Problem(problems.UNAVAILABLE, "the key cannot be read", retry_after=60)
        return web.Response(text="".join(f"{key}\n" for key in keys))

    async def log_consistency(self, request: web.Request) -> web.Response:
        """GET /v1/log/consistency/{earlier}/{later}: sizes of two checkpoints."""
        earlier, later = (number_of(request.match_info[it], it) for it in ("earlier", "later"))
        if not 0 < earlier <= later <= await self._store.read(leaves.size):
            raise Problem(problems.NOT_FOUND)
        hashes = await self._store.read(chronicle.consistency, earlier, later)
        return answer(schema.ConsistencyAnswer(hashes=tuple(it.hex() for it in hashes)))

    def handlers(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """The handlers by the names of their operations."""
        names = ("log_checkpoint", "log_key", "log_consistency")
        return {name: getattr(self, name) for name in names}


def number_of(text: str, field: str) -> int:
    """A number of a path or query; a Problem that names the field for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
        raise Problem(problems.INVALID_FIELD, "must be a number", field)
    return int(text)
