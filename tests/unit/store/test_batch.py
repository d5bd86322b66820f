import sqlite3

import pytest

from sipis.errors import FieldError, StoreError
from sipis.store import notes
from sipis.store.batch import Job, run_batch, run_shared


def put(name: str) -> Job[None]:
    return Job(lambda conn: notes.put(conn, name, "kept"))


def failing(name: str, error: Exception) -> Job[None]:
    def work(conn: sqlite3.Connection) -> None:
        notes.put(conn, name, "half")
        raise error

    return Job(work)


def kept(conn: sqlite3.Connection) -> set[str]:
    return {row["name"] for row in conn.execute("SELECT name FROM varying.notes")}


def test_jobs_share_one_transaction(conn: sqlite3.Connection) -> None:
    statements: list[str] = []
    conn.set_trace_callback(statements.append)
    run_batch(conn, [put("a"), put("b"), put("c")])
    assert statements.count("COMMIT") == 1
    assert kept(conn) == {"a", "b", "c"}


def test_a_failing_job_undoes_only_itself(conn: sqlite3.Connection) -> None:
    bad = failing("half", FieldError("ttl", "too long"))
    run_batch(conn, [put("a"), bad, put("b")])
    assert kept(conn) == {"a", "b"}
    with pytest.raises(FieldError, match="ttl"):
        bad.outcome()


def test_a_lone_failing_job_leaves_no_transaction_open(conn: sqlite3.Connection) -> None:
    bad = failing("half", ValueError("a bug"))
    run_batch(conn, [bad])
    assert not conn.in_transaction
    assert kept(conn) == set()
    with pytest.raises(ValueError, match="a bug"):
        bad.outcome()


def test_a_lost_transaction_is_done_again_job_by_job(conn: sqlite3.Connection) -> None:
    """As when a large insert meets a full disk: all is undone, but the small jobs still fit."""

    def lose_everything(conn: sqlite3.Connection) -> None:
        conn.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    large = Job(lose_everything)
    first, last = put("a"), put("b")
    run_batch(conn, [first, large, last])
    assert kept(conn) == {"a", "b"}
    first.outcome()
    last.outcome()
    with pytest.raises(StoreError):
        large.outcome()


def test_a_database_error_carries_its_name_and_no_value(conn: sqlite3.Connection) -> None:
    job = Job(lambda conn: conn.execute("INSERT INTO free_text_with_secret VALUES (1)"))
    run_batch(conn, [job])
    with pytest.raises(StoreError) as refused:
        job.outcome()
    assert "SQLITE_ERROR" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_job_that_was_never_run_says_so() -> None:
    with pytest.raises(StoreError, match="not run"):
        put("a").outcome()


def test_reading_changes_nothing(conn: sqlite3.Connection) -> None:
    job = put("a")
    job.run_reading(conn)
    assert kept(conn) == set()
    assert not conn.in_transaction


def test_shared_jobs_run_once_and_have_one_outcome(conn: sqlite3.Connection) -> None:
    runs: list[int] = []

    def work(_: sqlite3.Connection) -> int:
        runs.append(1)
        return 42

    jobs = [Job(work) for _ in range(3)]
    run_shared(conn, jobs)
    assert [job.outcome() for job in jobs] == [42, 42, 42]
    assert len(runs) == 1


def test_shared_jobs_fail_together(conn: sqlite3.Connection) -> None:
    def work(_: sqlite3.Connection) -> int:
        raise sqlite3.OperationalError("disk I/O error")

    jobs = [Job(work) for _ in range(2)]
    run_shared(conn, jobs)
    for job in jobs:
        with pytest.raises(StoreError):
            job.outcome()
