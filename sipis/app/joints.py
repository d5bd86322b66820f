"""Where one room's words meet another's: adapters of a few lines each.

Refuses to decide: each passes on what it was told.
"""

from collections.abc import Sequence

from sipis.registrant.sources import Sources
from sipis.sip.flow import Flow


class KnownSources:
    """Where providers' requests come from, as the relay asks the registrant."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def is_known(self, registrar: str, host: str) -> bool:
        """Whether this IP literal may speak for the registrar."""
        return self._sources.is_known(registrar, host)

    def registrars_of(self, host: str) -> Sequence[str]:
        """The registrars that this IP literal may speak for."""
        return self._sources.registrars_of(host)

    def owner_of(self, flow: Flow) -> int | None:  # noqa: ARG002 - no flow is one instance's alone
        """Whose flow it is: calls are told apart by our Contact's user part, not by their flow."""
        return None
