from sipis.api.auditpage import POLICY, Verdict, render
from sipis.audit.chronicle import LATENESS_CLASSES
from sipis.audit.summary import Day, Event, Summary
from sipis.model import DeletionReason

NOW = 1_800_000_000.0


def summary(**changes: object) -> Summary:
    values: dict[str, object] = {
        "leaves": 10, "live": 2, "owed": 2, "created": 6, "destroyed": 4,
        "reasons": {it.value: 1 for it in DeletionReason},
        "lateness": dict.fromkeys(LATENESS_CLASSES, 0),
        "days": (Day("2027-01-15", {"disabled": 3}),),
        "epoch": Event("2027-01-15T07:59Z", 7), "rolls": 6,
        "canary": Event("2027-01-15T07:30Z", 0, 5), "canary_failed": None, "census": None,
    }  # fmt: skip
    return Summary(**(values | changes))  # type: ignore[arg-type]


def shown(verdict: Verdict | None = None, pasted: str = "", **changes: object) -> str:
    return render(summary(**changes), latest=None, keys=(), now=NOW, pasted=pasted, verdict=verdict)


def test_it_says_whether_tables_and_log_agree() -> None:
    assert "the log agrees" in shown()
    assert "LOG DISAGREES" in shown(owed=3)


def test_a_failed_canary_is_never_hidden_by_an_older_clean_one() -> None:
    assert "clean" in shown()
    failed = shown(canary_failed=Event("2027-01-15T07:45Z", 3, 6))
    assert "3 traces" in failed
    assert "clean" not in failed


def test_everything_from_outside_is_escaped() -> None:
    hostile = "</textarea><img src=x>"
    text = shown(Verdict(holds=False, text=hostile), pasted=hostile)
    assert hostile not in text
    assert "&lt;img" in text


def test_a_day_is_a_stack_that_names_date_and_reason() -> None:
    assert "<title>2027-01-15: 3 disabled</title>" in shown()


def test_a_page_before_any_event_stands() -> None:
    assert "nothing is signed yet" in shown(days=(), epoch=None, canary=None, leaves=0)


def test_the_policy_allows_one_style_and_nothing_else() -> None:
    assert POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in POLICY
