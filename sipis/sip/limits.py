"""Bounds on what a peer may make us read, all in one place.

Refuses to be configurable: a bound that an operator can lift protects nobody.
"""

from typing import Final

MAX_DATAGRAM: Final = 16 * 1024
"""Bytes of one UDP message that we still process; beyond that 513 is owed."""

LARGEST_REQUEST: Final = 1300
"""Bytes of a request of ours that may leave over UDP, the MTU of the path unknown (18.1.1)."""

MAX_STREAM_MESSAGE: Final = 64 * 1024
"""Bytes of one message on TCP, TLS or WebSocket, head and body together."""

MAX_HEADERS: Final = 128
"""Header lines of one message; a folded line counts once."""

MAX_HEADER_LINE: Final = 8 * 1024
"""Characters of one header line, folds included."""

MAX_VALUES: Final = 256
"""Comma-separated values of one header."""

MAX_PARAMS: Final = 64
"""Parameters of one value or URI."""

MAX_CSEQ: Final = 2**31 - 1
"""Largest sequence number (RFC 3261 section 8.1.1.5)."""

MAX_SECONDS: Final = 2**32 - 1
"""Largest delta-seconds value; larger ones are read as this one (RFC 3261 section 20.19)."""
