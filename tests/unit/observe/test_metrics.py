"""The list of metrics."""

from pathlib import Path

import pytest

import sipis
from sipis.observe.metrics import Metrics


def test_what_is_counted_appears_in_the_exposition() -> None:
    metrics = Metrics()
    metrics.count("calls_total", end="answered")
    metrics.gauge("instances", 7)
    metrics.observe("delete_seconds", 0.004)
    text = metrics.exposition().decode()
    assert 'sipis_calls_total{end="answered"} 1.0' in text
    assert "sipis_instances 7.0" in text
    assert 'sipis_delete_seconds_bucket{le="0.005"} 1.0' in text


def test_every_metric_of_the_list_is_fed_somewhere() -> None:
    package = Path(sipis.__file__).parent
    sources = "".join(path.read_text() for path in package.rglob("*.py"))
    assert [name for name in Metrics()._made if sources.count(f'"{name}"') < 2] == []


def test_a_metric_that_is_not_on_the_list_cannot_be_counted() -> None:
    with pytest.raises(KeyError):
        Metrics().count("surprises_total")


def test_a_label_that_is_not_on_the_list_cannot_be_used() -> None:
    with pytest.raises(ValueError, match="label"):
        Metrics().count("calls_total", caller="carol")


def test_two_servers_in_one_process_share_nothing() -> None:
    one, two = Metrics(), Metrics()
    one.count("calls_total", end="missed")
    assert "missed" not in two.exposition().decode()
