"""Logs hold known fields only, one JSON object a line."""

import io
import json
import logging
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


def test_what_libraries_log_is_told_without_its_text(output: io.StringIO) -> None:
    try:
        raise ConnectionResetError("secret of 192.0.2.1")
    except ConnectionResetError:
        logging.getLogger("some.library").exception("failed for %s", "sip:carol@example.com")
    line = json.loads(output.getvalue())
    assert (line["event"], line["level"]) == ("library", "error")
    assert (line["logger"], line["error"]) == ("some.library", "ConnectionResetError")
    assert "carol" not in output.getvalue()
    assert "192.0.2.1" not in output.getvalue()


def test_what_libraries_say_by_the_way_is_not_logged(output: io.StringIO) -> None:
    logging.getLogger("some.library").info("hello")
    assert output.getvalue() == ""


def test_setting_up_twice_tells_once(output: io.StringIO) -> None:
    set_up(LogSettings(), output)
    logging.getLogger("some.library").warning("hello")
    assert len(output.getvalue().splitlines()) == 1
