"""The auditor's own canary: plant an instance with a marker, look for the marker in our memory.

Refuses to be told the marker that is looked for in clear: it would then lie in the memory of the
request itself.
"""

import asyncio
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sipis.api.edge import answer, body_of
from sipis.lifecycle.canary import Canary
from sipis.vault.search import LONGEST, SHORTEST, Wanted

Hex = Annotated[
    str, Field(pattern="^([0-9a-f]{2})+$", min_length=2 * SHORTEST, max_length=2 * LONGEST)
]
LIFE = 3600.0
"""Seconds that an auditor's instance lives when nobody deletes it."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlantBody(_Body):
    """What becomes user, password and push token of the instance."""

    marker: str


class PlantAnswer(_Body):
    """The planted instance, and what opens its commitment."""

    instance: str
    commitment: str
    salt: str
    expires_in: float


class SearchBody(_Body):
    """What to look for, XORed with a mask; both in hex."""

    mask: Hex
    masked: Hex


class SearchAnswer(_Body):
    """Copies in the memory of the server; None where it cannot be read."""

    copies: int | None
    freed_memory_is_overwritten: bool


class CanaryHandlers:
    """What an auditor can do."""

    def __init__(self, canary: Canary, *, wipes: bool) -> None:
        self._canary = canary
        self._wipes = wipes

    def routes(self) -> list[web.RouteDef]:
        """All routes of the canary."""
        return [
            web.post("/v1/admin/audit/plant", self.plant, name="audit_plant"),
            web.post("/v1/admin/audit/search", self.search, name="audit_search"),
        ]

    async def plant(self, request: web.Request) -> web.Response:
        """Make the instance; it is deleted as any other."""
        body = await body_of(request, PlantBody)
        made = await self._canary.plant(body.marker, LIFE)
        opening = made.opening
        return answer(
            PlantAnswer(
                instance=made.row.id,
                commitment=opening.commitment.hex(),
                salt=opening.salt.hex(),
                expires_in=made.row.ttl,
            ),
            status=201,
        )

    async def search(self, request: web.Request) -> web.Response:
        """Look through the memory of this process."""
        body = await body_of(request, SearchBody)
        wanted = Wanted(bytes.fromhex(body.mask), bytes.fromhex(body.masked))
        copies = await asyncio.to_thread(self._canary.look_in_memory, wanted)
        found = SearchAnswer(copies=copies, freed_memory_is_overwritten=self._wipes)
        return web.Response(text=found.model_dump_json(), content_type="application/json")
