"""Writes docs/machines.md from the tables that the code obeys.

    python -m tools.machines

Refuses to describe by hand what can be asked of the code: rows come from tables, and where a
machine is a method, from calling it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from sipis.registrant import attempt, breaker, schedule
from sipis.registrant.attempt import Attempt, Step
from sipis.registrant.schedule import Blame, Facts, Outcome, Result, decide
from sipis.relay.call import table as call
from sipis.relay.call.actions import Action as CallAction
from sipis.sip import dialog, timers, transaction
from sipis.sip.digest import DigestChallenge

PLACE: Final = Path(__file__).parents[1] / "docs" / "machines.md"

Edge = tuple[str, str, str]
"""From state, input, to state."""
Row = Sequence[str]

HEAD: Final = """\
# The machines

Written by `make docs` from the tables that the code obeys; a test fails when it is stale.
Diagrams leave out the rows that stay in their state. What has no row is ignored and changes
nothing.
"""

TRANSACTIONS: Final[Mapping[str, tuple[str, transaction.Table]]] = {
    "Client transaction of an INVITE": (
        "RFC 3261 17.1.1, RFC 6026 8.4. `withdrawn`: the CANCEL waits for a provisional (9.1).",
        transaction.CLIENT_INVITE,
    ),
    "Client transaction of another request": ("RFC 3261 17.1.2.", transaction.CLIENT_REQUEST),
    "Client transaction of a CANCEL": (
        "As any other request, but nothing is told: what becomes of it shows in the INVITE.",
        transaction.CLIENT_CANCEL,
    ),
    "Server transaction of an INVITE": (
        "RFC 3261 17.2.1 with RFC 6026 7.1, and the 2xx repeated until its ACK (13.3.1.4).",
        transaction.SERVER_INVITE,
    ),
    "Server transaction of another request": (
        "RFC 3261 17.2.2 with RFC 4320 4.",
        transaction.SERVER_REQUEST,
    ),
}


def document() -> str:
    """The whole page."""
    parts = [HEAD, *_transactions(), _timers(), _dialog(), *_registration(), *_call()]
    return "\n".join(parts)


def _transactions() -> Iterator[str]:
    yield "## Transactions\n\nCode: `sipis/sip/transaction.py`.\n"
    for title, (source, table) in TRANSACTIONS.items():
        edges = [(old, what, new) for (old, what), (_, new) in table.items()]
        rows = [
            (old, what, ", ".join(map(_transaction_action, actions)), new)
            for (old, what), (actions, new) in table.items()
        ]
        yield _section(title, source, edges, MACHINE_COLUMNS, rows)


def _transaction_action(action: transaction.Action | timers.Timer) -> str:
    return f"set {action}" if isinstance(action, timers.Timer) else str(action)


def _timers() -> str:
    rows = [
        (timer, _seconds(timers.DURATIONS[timer]), _growth(timer), _on_streams(timer))
        for timer in timers.Timer
    ]
    columns = ("timer", "first", "then", "on a stream")
    return f"### Timers of transactions\n\nCode: `sipis/sip/timers.py`.\n\n{_table(columns, rows)}"


def _growth(timer: timers.Timer) -> str:
    longest = timers.DOUBLING.get(timer)
    if longest is None:
        return ""
    return "doubles" if longest == float("inf") else f"doubles up to {_seconds(longest)}"


def _on_streams(timer: timers.Timer) -> str:
    if timer in timers.UNRELIABLE_ONLY:
        return "never set"
    return "0 s" if timer in timers.LINGER else ""


def _dialog() -> str:
    edges = [(old, what, new) for (old, what), new in dialog.TABLE.items()]
    source = "RFC 3261 12 and 13.2.2. Code: `sipis/sip/dialog.py`."
    return _section("Dialog", source, edges, ("state", "input", "next state"), edges, level=2)


def _registration() -> Iterator[str]:
    yield "## Registration\n"
    yield _attempt()
    yield _outcomes()
    edges = [(o.value, what.value, new.value) for (o, what), new in breaker.TABLE.items()]
    source = "One for each address of a registrar. Code: `sipis/registrant/breaker.py`."
    yield _section("Circuit breaker", source, edges, ("state", "input", "next state"), edges)


STATUSES: Final = (200, 302, 400, 401, 403, 404, 407, 408, 410, 420, 421, 423, 439, 480, 494, 500,
                   503, 600, 604)  # fmt: skip
"""Every status that has a meaning of its own, and one that stands for the rest of its class."""


def _attempt() -> str:
    rows = [
        (_status(status), _words(attempt.meaning(status).name), _first(status), _spent(status))
        for status in STATUSES
    ]
    rows.append(("silence", "no response", _name(_able().unanswered(Outcome.TIMEOUT)),
                 _name(_unable().unanswered(Outcome.TIMEOUT))))  # fmt: skip
    steps = {_words(step.name) for step in Step}
    edges = [("waiting", status, first) for status, _, first, _ in rows]
    edges += [("waiting", f"{status} again", last) for status, _, first, last in rows
              if first in steps]  # fmt: skip
    edges += [(step, "REGISTER", "waiting") for step in sorted(steps)]
    source = (
        "What a response to a REGISTER leads to while something is left to try, and when nothing "
        "is. Code: `sipis/registrant/attempt.py`."
    )
    columns = ("response", "meaning", "first", "when it comes again")
    return _section("Attempt", source, edges, columns, rows)


def _status(status: int) -> str:
    typical = status % 100 == 0 and status not in (400, 503)
    return f"{status // 100}xx" if typical or status in (302, 480) else str(status)


def _able() -> Attempt:
    return Attempt(offered=600, targets_left=1)


def _unable() -> Attempt:
    return Attempt(offered=600, plain=True, lengthened=True, answered={(False, "x")})


def _first(status: int) -> str:
    return _outcome_of(_able(), status)


def _spent(status: int) -> str:
    return _outcome_of(_unable(), status)


def _outcome_of(one: Attempt, status: int) -> str:
    means = attempt.meaning(status)
    if means is attempt.Meaning.OK:
        return f"{Outcome.REGISTERED} or {Outcome.NOT_BOUND}"
    if means is attempt.Meaning.CHALLENGE:
        challenge = DigestChallenge("x", "nonce", proxy=False)
        return _name(one.challenged_with(status, [challenge]))
    return _name(one.refused_with(status, min_expires=1200))


def _name(step: Step | Result) -> str:
    return _words(step.name) if isinstance(step, Step) else step.outcome.value


NOW: Final = 1e6
SITUATIONS: Final = {
    "new account": Facts(),
    "account that has worked": Facts(proven=True),
    "while a binding lives": Facts(proven=True, bound_until=2 * NOW),
}


def _outcomes() -> str:
    rows = [
        (outcome.value, *(_plan(outcome, facts) for facts in SITUATIONS.values()), _blame(outcome))
        for outcome in Outcome
    ]
    edges = [
        ("registering", outcome.value, _decided(outcome, Facts()).state.value)
        for outcome in Outcome
    ]
    source = (
        "What an outcome makes of the instance, and when it tries again after the first failure; "
        "waits grow with each further one. Code: `sipis/registrant/schedule.py`."
    )
    columns = ("outcome", *SITUATIONS, "counts against the address")
    return _section("Outcomes and the schedule", source, edges, columns, rows)


def _decided(outcome: Outcome, facts: Facts, jitter: float = 0.0) -> schedule.Decision:
    return decide(Result(outcome, granted=600), facts, NOW, jitter)


def _plan(outcome: Outcome, facts: Facts) -> str:
    soonest, latest = _decided(outcome, facts), _decided(outcome, facts, 1.0)
    if soonest.next_attempt_at is None or latest.next_attempt_at is None:
        return f"{soonest.state}, never"
    first, last = soonest.next_attempt_at - NOW, latest.next_attempt_at - NOW
    return f"{soonest.state}, {first:g}-{last:g} s"


def _blame(outcome: Outcome) -> str:
    rule = schedule.RULES[outcome]
    refusal = {Blame.NEVER: [], Blame.UNPROVEN: ["as a refusal unless proven"]}
    return ", ".join([rule.blames.value, *refusal.get(rule.rebuff, ["as a refusal"])])


def _call() -> Iterator[str]:
    edges = [(o.value, _words(what.name), new.value) for (o, what), (_, new) in call.TABLE.items()]
    rows = [
        (old.value, _words(what.name), ", ".join(map(_action, actions)), new.value)
        for (old, what), (actions, new) in call.TABLE.items()
    ]
    source = (
        "The way to `over` leads through `clearing` while an INVITE to the app lacks its final "
        "response. Code: `sipis/relay/call/table.py`."
    )
    yield _section("Call", source, edges, MACHINE_COLUMNS, rows, level=2)
    used = {action.__name__: action for actions, _ in call.TABLE.values() for action in actions}
    meanings = [(_action(used[name]), _sentence(used[name])) for name in sorted(used)]
    yield f"### Actions of a call\n\n{_table(('action', 'meaning'), meanings)}"
    running = [
        (state.value, ", ".join(sorted(timer.value for timer in may_run)))
        for state, may_run in call.TIMERS.items()
    ]
    yield f"### Timers of a call\n\n{_table(('state', 'may run'), running)}"


def _action(action: CallAction) -> str:
    return _words(action.__name__)


def _sentence(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").split("\n\n")[0].strip()


MACHINE_COLUMNS: Final = ("state", "input", "actions", "next state")


def _section(
    title: str,
    source: str,
    edges: Iterable[Edge],
    columns: Row,
    rows: Iterable[Row],
    *,
    level: int = 3,
) -> str:
    return "\n".join(["#" * level + f" {title}\n", f"{source}\n", _diagram(edges),
                      _table(columns, rows)])  # fmt: skip


def _diagram(edges: Iterable[Edge]) -> str:
    """Inputs that lead the same way share an arrow; ways back to the same state are left out."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for old, what, new in edges:
        if old != new:
            arrows.setdefault((old, new), []).append(what)
    lines = [f"    {_id(old)} --> {_id(new)} : {', '.join(inputs)}"
             for (old, new), inputs in arrows.items()]  # fmt: skip
    names = [f'    state "{name}" as {_id(name)}'
             for name in dict.fromkeys(state for arrow in arrows for state in arrow)
             if name != _id(name)]  # fmt: skip
    return "\n".join(["```mermaid", "stateDiagram-v2", *names, *lines, "```\n"])


def _table(columns: Row, rows: Iterable[Row]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _id(state: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in state)


def _words(name: str) -> str:
    return name.strip("_").replace("_", " ").lower()


def _seconds(value: float) -> str:
    return f"{value:g} s"


if __name__ == "__main__":
    PLACE.write_text(document())
