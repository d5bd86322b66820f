"""Health and readiness: which parts of the server work now.

Refuses to depend on the push services or providers for liveness: their trouble is shown, not fatal.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Health:
    """The parts that must work before the server is ready, and what troubles it meanwhile."""

    _awaited: set[str] = field(default_factory=set)
    _troubles: dict[str, str] = field(default_factory=dict)
    _draining: bool = False

    def await_part(self, part: str) -> None:
        """Name a part without which the server is not ready."""
        self._awaited.add(part)

    def part_works(self, part: str) -> None:
        """Say that a part works (again)."""
        self._awaited.discard(part)
        self._troubles.pop(part, None)

    def trouble(self, part: str, problem: str) -> None:
        """Note a trouble: the server stays ready but shows itself as degraded."""
        self._troubles[part] = problem

    def drain(self) -> None:
        """Say that the server is stopping: it is alive, but takes nothing new."""
        self._draining = True

    @property
    def ready(self) -> bool:
        """True when all awaited parts work and the server is not stopping."""
        return not self._awaited and not self._draining

    def report(self) -> dict[str, object]:
        """The body of /readyz: status and the troubles by part."""
        status = "draining" if self._draining else "ready" if self.ready else "starting"
        if status == "ready" and self._troubles:
            status = "degraded"
        return {
            "status": status,
            "waiting": sorted(self._awaited),
            "troubles": dict(self._troubles),
        }
