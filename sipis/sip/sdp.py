"""What a relay of signalling does to session descriptions: it takes out media keys (RFC 4568).

They must not leave over an unencrypted leg. Refuses to read, rewrite or judge anything else: every
other byte stays.
"""

import re
from typing import Final

_CRYPTO_LINE: Final = re.compile(rb"^[ \t]*+a[ \t]*+=[ \t]*+crypto\b", re.IGNORECASE)


def without_crypto(body: bytes) -> bytes:
    """The body without its `a=crypto` lines, all else byte for byte.

    Works on any text, so that a session description inside a multipart body loses them too.
    """
    if b"crypto" not in body.lower():
        return body
    lines = body.splitlines(keepends=True)
    return b"".join([line for line in lines if not _CRYPTO_LINE.match(line)])
