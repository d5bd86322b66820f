"""Readiness."""

from sipis.observe.health import Health


def test_a_server_is_ready_when_every_awaited_part_works() -> None:
    health = Health()
    health.await_part("store")
    assert health.report()["status"] == "starting"
    assert health.report()["waiting"] == ["store"]
    health.part_works("store")
    assert health.ready
    assert health.report()["status"] == "ready"


def test_a_trouble_degrades_but_does_not_end_readiness() -> None:
    health = Health()
    health.trouble("apns", "wrong key")
    assert health.ready
    assert health.report() == {
        "status": "degraded", "waiting": [], "troubles": {"apns": "wrong key"},
    }  # fmt: skip
    health.part_works("apns")
    assert health.report()["status"] == "ready"


def test_a_stopping_server_is_not_ready() -> None:
    health = Health()
    health.drain()
    assert not health.ready
    assert health.report()["status"] == "draining"
