"""Logs hold known fields only, one JSON object a line."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from sipis.config import LogSettings
from sipis.observe.log import LONGEST_VALUE, set_up


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    set_up(LogSettings(), stream)
    yield stream
    structlog.reset_defaults()


def test_a_field_that_is_not_on_the_list_is_dropped(output: io.StringIO) -> None:
    structlog.get_logger().info("called", caller="sip:carol@example.com", status=180)
    line = json.loads(output.getvalue())
    assert line["status"] == 180
    assert "carol" not in output.getvalue()
    assert line["problem"] == "1 unlisted fields dropped"


def test_control_characters_and_long_values_never_leave(output: io.StringIO) -> None:
    structlog.get_logger().info("x\n\x1b[31m", reason="y" * 1000)
    text = output.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert len(json.loads(text)["reason"]) == LONGEST_VALUE


def test_lines_below_the_level_are_not_written(output: io.StringIO) -> None:
    structlog.get_logger().debug("quiet")
    assert output.getvalue() == ""


def test_the_console_form_is_for_people() -> None:
    stream = io.StringIO()
    set_up(LogSettings(form="console"), stream)
    structlog.get_logger().warning("started", port=5060)
    structlog.reset_defaults()
    assert "port=5060" in stream.getvalue()
