"""Takes GOAWAY frames out of a byte stream of HTTP/2 before the library sees them (RFC 9113 6.8).

Refuses to interpret any other frame. The library closes its state machine at the first GOAWAY and
then rejects the answers that are still due, while APNs sends a graceful GOAWAY at every
maintenance.
"""

from dataclasses import dataclass
from typing import Final

HEADER: Final = 9
GOAWAY: Final = 0x7
LONGEST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Goaway:
    """The peer takes no stream above `last_stream`."""

    last_stream: int
    code: int
    debug: bytes = b""


class GoawayFilter:
    """Cuts a byte stream into what the library may see and the GOAWAYs that it may not."""

    def __init__(self) -> None:
        self._held = b""
        self._passing = 0

    def feed(self, data: bytes) -> tuple[bytes, list[Goaway]]:
        """Return the bytes to pass on and the GOAWAYs found; a split head waits for its rest."""
        data, self._held = self._held + data, b""
        passed: list[bytes] = []
        found: list[Goaway] = []
        start, at = 0, self._passing
        while at + HEADER <= len(data):
            length = int.from_bytes(data[at : at + 3])
            end = at + HEADER + length
            if data[at + 3] == GOAWAY and length <= LONGEST:
                passed.append(data[start:at])
                start = at
                if end > len(data):
                    break
                found.append(_parse(data[at + HEADER : end]))
                start = end
            at = end
        return self._settle(data, start, at, passed), found

    def _settle(self, data: bytes, start: int, at: int, passed: list[bytes]) -> bytes:
        """Keep back what is no whole frame head or an unfinished GOAWAY; pass all else."""
        until = min(at, len(data))
        self._passing = max(0, at - len(data))
        self._held = data[until:]
        passed.append(data[start:until])
        return b"".join(passed)


def _parse(payload: bytes) -> Goaway:
    last = int.from_bytes(payload[:4]) & 0x7FFF_FFFF
    return Goaway(last, int.from_bytes(payload[4:8]), payload[8:])
