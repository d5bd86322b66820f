"""A value that must never be seen: passwords, digests of passwords, keys.

Refuses to be printed, formatted, compared in variable time, pickled or turned into JSON.
`reveal()` is called inside the vault only; an architecture test holds that.
"""

import hmac
from typing import Final, NoReturn

HIDDEN: Final = "[secret]"


class Secret:
    """Text that shows itself to nobody but the caller of reveal()."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; for the vault alone."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __len__(self) -> int:
        return len(self._text)

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
