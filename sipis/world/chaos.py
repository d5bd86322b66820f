"""Misbehaviour by the dice: a seed, rates, and the same story each time the seed is the same.

Refuses hidden dice: the seed is always known, so that whoever sees a failure can have it again.
"""

import random
from collections.abc import Mapping
from typing import Generic, TypeVar

Mischief = TypeVar("Mischief")


class Chaos(Generic[Mischief]):
    """Rolls one mischief, or none, per occasion."""

    def __init__(self, seed: int, rates: Mapping[Mischief, float]) -> None:
        if sum(rates.values()) > 1:
            raise ValueError("the rates sum up to more than 1")
        self.seed = seed
        self._rates = dict(rates)
        self._dice = random.Random(seed)

    def roll(self) -> Mischief | None:
        """Return the mischief of this occasion; None means behave."""
        number = self._dice.random()
        for mischief, rate in self._rates.items():
            number -= rate
            if number < 0:
                return mischief
        return None

    def __repr__(self) -> str:
        return f"Chaos(seed={self.seed})"
