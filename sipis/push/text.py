"""Cutting text for payloads without breaking what a reader sees as one character.

Refuses full segmentation (UAX #29): it knows combining marks, joiners, variation selectors, emoji
modifiers and flag pairs, which is what names and messages are made of.
"""

import json
import unicodedata
from collections.abc import Iterator
from typing import Final

ELLIPSIS: Final = "…"
_JOINER: Final = "\u200d"


def encoded_size(text: str) -> int:
    """Return how many bytes the text takes inside a JSON string, quotes not counted."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def cut(text: str, most: int) -> str:
    """Return the text, or its beginning and an ellipsis, in at most that many encoded bytes."""
    if encoded_size(text) <= most:
        return text
    room = most - encoded_size(ELLIPSIS)
    if room < 0:
        return ""
    kept: list[str] = []
    for cluster in clusters(text):
        room -= encoded_size(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept).rstrip() + ELLIPSIS


def clusters(text: str) -> Iterator[str]:
    """Yield the text in pieces that must not be split."""
    start = 0
    for end in range(1, len(text)):
        if not _continues(text, start, end):
            yield text[start:end]
            start = end
    if text:
        yield text[start:]


def _continues(text: str, start: int, at: int) -> bool:
    """Whether the character at `at` belongs to the cluster that began at `start`."""
    before, char = text[at - 1], text[at]
    return (
        _JOINER in {char, before}
        or unicodedata.category(char).startswith("M")
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or (_is_flag_half(char) and _is_flag_half(before) and (at - start) % 2 == 1)
        or (before == "\r" and char == "\n")
    )


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
