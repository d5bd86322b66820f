"""The auditor's page: figures, two charts, a form. Plain HTML that is complete without a script.

Refuses unescaped text, scripts and anything from another place: the policy it is served under
allows one style sheet, named by its hash, and nothing else.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from importlib import resources
from string import Template
from typing import Final

from sipis.audit.note import Checkpoint
from sipis.audit.summary import DAYS, Day, Event, Summary
from sipis.audit.verifier.receipt import Proven
from sipis.model import DeletionReason

_HERE: Final = resources.files("sipis.api")
_STYLE: Final = (_HERE / "audit.css").read_text("utf-8")
_PAGE: Final = Template((_HERE / "audit.html").read_text("utf-8"))
_STYLE_HASH: Final = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)

_COLOURS: Final = {
    DeletionReason.DISABLED: "#1d4f7c",
    DeletionReason.EXPIRED: "#6b9bc3",
    DeletionReason.PUSH_GONE: "#7a6aa8",
    DeletionReason.NEVER_REGISTERED: "#c28f2c",
    DeletionReason.REPLACED: "#5f8f6b",
    DeletionReason.ADMIN: "#8a949e",
    DeletionReason.APP_REMOVED: "#3d464f",
    DeletionReason.KEY_LOST: "#a3201d",
    DeletionReason.CANARY: "#d9c76a",
}
_WIDTH: Final = 990
_HEIGHT: Final = 150


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a pasted receipt."""

    holds: bool
    text: str
    proven: Proven | None = None


def render(
    summary: Summary,
    *,
    latest: Checkpoint | None,
    keys: Sequence[str],
    now: float,
    pasted: str,
    verdict: Verdict | None,
) -> str:
    """The whole page; `now` in Unix seconds."""
    moment = datetime.fromtimestamp(now, UTC)
    return _PAGE.substitute(
        style=_STYLE,
        origin=escape(keys[0].partition("+")[0] if keys else "no key"),
        now=moment.strftime("%Y-%m-%d %H:%M UTC"),
        span=DAYS,
        facts="".join(_facts(summary, latest)),
        chart=_chart(summary.days, moment),
        reasons=_table("Reason", summary.reasons),
        lateness=_table("Lateness", summary.lateness),
        verdict="" if verdict is None else _verdict(verdict),
        pasted=escape(pasted),
        checkpoint=escape(latest.text if latest else "nothing is signed yet"),
        keys=escape("\n".join(keys) or "the key cannot be read"),
    )


def _facts(summary: Summary, latest: Checkpoint | None) -> Iterable[str]:
    late = summary.lateness.get("over 60 s", 0)
    unsigned = summary.leaves - (latest.head.size if latest else 0)
    agree = summary.live == summary.owed
    yield _fact(summary.live, "live now; the log agrees" if agree else "LIVE, LOG DISAGREES", agree)
    yield _fact(summary.created, "created, all time")
    yield _fact(summary.destroyed, "destroyed, all time")
    yield _fact(late, "later than 60 s", late == 0)
    yield _fact(_value(summary.epoch), f"epoch key, rolled {_minute(summary.epoch)}")
    yield _canary(summary)
    yield _fact(summary.rolls, "rolls of the epoch key, all time")
    yield _fact(summary.leaves, f"leaves in the log, {unsigned} not signed yet")


def _canary(summary: Summary) -> str:
    passed, failed = summary.canary, summary.canary_failed
    if failed and (passed is None or failed.seq > passed.seq):
        return _fact("failed", f"canary: {failed.value} traces, {failed.minute}", holds=False)
    if passed is None:
        return _fact("none", "canary planted so far")
    return _fact("clean", f"last canary, {_minute(passed)}", holds=True)


def _fact(value: int | str, text: str, holds: bool | None = None) -> str:
    mark = "" if holds is None else ' class="good"' if holds else ' class="bad"'
    shown = f"{value:,}" if isinstance(value, int) else value
    return f'<div class="fact"><b{mark}>{escape(shown)}</b><span>{escape(text)}</span></div>'


def _value(event: Event | None) -> int | str:
    return "none" if event is None else event.value


def _minute(event: Event | None) -> str:
    return "never" if event is None else event.minute.replace("T", " ").replace("Z", " UTC")


def _table(name: str, rows: dict[str, int]) -> str:
    most = max(rows.values(), default=0) or 1
    lines = "".join(
        f'<tr><td>{escape(row.replace("_", " "))}</td><td class="number">{number:,}</td>'
        f"<td>{_bar(number / most)}</td></tr>"
        for row, number in rows.items()
    )
    head = f'<tr><th>{name}</th><th class="number">Instances</th><th></th></tr>'
    return f"<table>{head}{lines}</table>"


def _bar(share: float) -> str:
    return (
        '<svg width="120" height="9" aria-hidden="true">'
        f'<rect width="{share * 120:.1f}" height="9" fill="#6b9bc3"/></svg>'
    )


def _chart(days: Sequence[Day], today: datetime) -> str:
    """A stack a day; days without a deletion are empty places."""
    known = {day.day: day.reasons for day in days}
    dates = [(today - timedelta(days=DAYS - 1 - i)).strftime("%Y-%m-%d") for i in range(DAYS)]
    most = max((sum(reasons.values()) for reasons in known.values()), default=0)
    stacks = "".join(
        _stack(i, date, known.get(date, {}), _HEIGHT / (most or 1)) for i, date in enumerate(dates)
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 36}" width="100%" role="img"'
        f' aria-label="deletions a day, at most {most}">'
        f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT + 14}" y2="{_HEIGHT + 14}" stroke="#b7c1ca"/>'
        f'<text x="0" y="10">{most:,} a day</text>{stacks}</svg>'
        f'<p class="legend">{_legend()}</p>'
    )


def _stack(place: int, date: str, reasons: dict[str, int], scale: float) -> str:
    step = _WIDTH / DAYS
    x, y, drawn = place * step + 4, float(_HEIGHT + 14), ""
    for reason, colour in _COLOURS.items():
        height = reasons.get(reason.value, 0) * scale
        y -= height
        if height:
            drawn += (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{step - 8:.1f}" height="{height:.1f}"'
                f' fill="{colour}"><title>{date}: {reasons[reason.value]:,} {reason.value}</title>'
                "</rect>"
            )
    middle, below = x + step / 2 - 4, _HEIGHT + 30
    label = f'<text x="{middle:.1f}" y="{below}" text-anchor="middle">{date[5:]}</text>'
    return drawn + (label if place % 5 == 4 else "")


def _legend() -> str:
    return "".join(
        f'<span><svg width="11" height="11"><rect width="11" height="11" fill="{colour}"/></svg>'
        f"{reason.value.replace('_', ' ')}</span>"
        for reason, colour in _COLOURS.items()
    )


def _verdict(verdict: Verdict) -> str:
    if verdict.proven is None:
        return (
            '<div class="verdict bad" id="verdict"><strong>This receipt proves nothing.</strong>'
            f"{escape(verdict.text)}</div>"
        )
    leaf = verdict.proven.leaf
    return (
        '<div class="verdict good" id="verdict"><strong>The receipt holds.</strong>'
        f"Commitment <code>{escape(leaf['c'])}</code> was destroyed at {escape(leaf['minute'])},"
        f" reason {escape(leaf['reason'])}; leaf {leaf['seq']} of"
        f" {verdict.proven.checkpoint.size} signed leaves.</div>"
    )
