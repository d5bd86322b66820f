"""One line per figure: ours, the peer's of the same run, the ratio, the target and whether it held.

Refuses to measure: benches do, and hand their figures in.
"""

from dataclasses import dataclass
from typing import Final

_VERDICT: Final = {True: "met", False: "MISSED", None: ""}


@dataclass(frozen=True)
class Target:
    """What a figure is held to: a bound on its ratio to the peer's, or on itself.

    `most` and `least` are in the figure's unit, or times the peer's when `of_peer`.
    """

    most: float | None = None
    least: float | None = None
    of_peer: bool = False

    def holds_for(self, value: float) -> bool:
        """Whether a value (or ratio) is inside the bound."""
        above = self.least is None or value >= self.least
        return above and (self.most is None or value <= self.most)

    def text(self, unit: str) -> str:
        """The bound in words."""
        sign, bound = ("<=", self.most) if self.most is not None else (">=", self.least)
        return f"{sign} {_number(bound or 0.0)} {'x' if self.of_peer else unit}"


@dataclass(frozen=True)
class Figure:
    """One measured number; `peer` is that of the program or control named by `beside`."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    beside: str = ""
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours divided by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        """Whether the target holds; None when there is none, or nothing to hold it against."""
        if self.target is None:
            return None
        value = self.ratio if self.target.of_peer else self.ours
        return None if value is None else self.target.holds_for(value)

    def line(self) -> str:
        """The figure as it is printed."""
        ratio = "-" if self.ratio is None else f"{_number(self.ratio)} x"
        target = "" if self.target is None else f"target {self.target.text(self.unit)}"
        peer = f"{self.beside} {_quantity(self.peer, self.unit)}" if self.beside else "-"
        columns = (
            f"{self.name:<58}", f"{_quantity(self.ours, self.unit):>14}", f"{peer:<34}",
            f"{ratio:>8}", f"{target:<18}", f"{_VERDICT[self.met]:<6}", self.note,
        )  # fmt: skip
        return " | ".join(columns).rstrip(" |")


def quantile(values: list[float], share: float) -> float:
    """The value below which this share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _quantity(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
