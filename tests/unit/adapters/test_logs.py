"""Lines of a log."""

import io
import json
import logging

import pytest

from perdure.adapters.logs import Bridge, LineLog, bridge
from perdure.ports.log import REQUEST, RUN


def lines(out: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in out.getvalue().split("\n") if line]


def test_one_json_object_a_line():
    out = io.StringIO()
    log = LineLog(out, text=False)
    log("info", "request answered", status=200, text="a\nb\u2028c")
    [line] = lines(out)
    assert (line["level"], line["event"], line["status"], line["text"]) == (
        "info",
        "request answered",
        200,
        "a\nb\u2028c",
    )
    assert len(line["time"]) == 24 and line["time"].endswith("Z")
    assert "request" not in line


def test_the_request_and_the_run_are_said():
    out = io.StringIO()
    tokens = REQUEST.set("req-1"), RUN.set("run-1")
    LineLog(out, text=False)("warning", "x")
    REQUEST.reset(tokens[0])
    RUN.reset(tokens[1])
    assert lines(out)[0]["request"] == "req-1" and lines(out)[0]["run"] == "run-1"


def test_what_is_below_the_level_is_left_out():
    out = io.StringIO()
    log = LineLog(out, level="warning", text=False)
    log("info", "no")
    log("error", "yes")
    assert [line["event"] for line in lines(out)] == ["yes"]


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), "\ud800", [b"\xff"], {"a": {"b": object()}}])
def test_no_value_can_break_the_log(value):
    out = io.StringIO()
    LineLog(out, text=False)("info", "odd", value=value)
    assert lines(out)[0]["event"] == "odd"


def test_a_long_line_is_still_json():
    out = io.StringIO()
    LineLog(out, text=False)("info", "long", trace="x" * 100_000 + "the end", other=["y" * 100_000])
    [line] = lines(out)
    assert line["trace"].endswith("the end") and len(out.getvalue()) < 20_000


def test_text_on_a_terminal_does_nothing_that_a_value_says():
    out = io.StringIO()
    LineLog(out, text=True)("error", "failed", name="\x1b[31mred", trace="one\ntwo")
    text = out.getvalue()
    assert "\x1b" not in text and "name=\\x1b[31mred" in text
    assert text.endswith("\n    one\n    two\n")


def test_a_stream_that_is_gone_ends_nothing():
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    log = LineLog(Gone(), text=False)
    log("info", "x")
    log("info", "x")


def test_what_libraries_say_comes_along():
    out = io.StringIO()
    record = logging.LogRecord("lib", logging.ERROR, "f", 1, "went %s", ("wrong",), None)
    Bridge(LineLog(out, text=False)).emit(record)
    try:
        raise ValueError("inner")
    except ValueError as error:
        broken = logging.LogRecord(
            "lib", logging.WARNING, "f", 1, "%d", ("x",), (type(error), error, error.__traceback__)
        )
    Bridge(LineLog(out, text=False)).emit(broken)
    first, second = lines(out)
    assert (first["logger"], first["message"], first["level"]) == ("lib", "went wrong", "error")
    assert second["error"] == "ValueError" and "inner" in second["trace"]


def test_the_bridge_is_the_only_one_that_writes():
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    try:
        out = io.StringIO()
        bridge(LineLog(out, text=False))
        logging.getLogger("lib").warning("hello")
        assert lines(out)[0]["message"] == "hello" and len(root.handlers) == 1
    finally:
        root.handlers[:], root.level = kept, level
