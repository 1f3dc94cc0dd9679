"""What every test may use, and the closing line of `make test`: how many tests, and which real parts took part."""

import functools
import gc
import importlib
import importlib.metadata
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers.kafka import kafka_server  # noqa: F401 - a fixture for every test, like those below
from tests.servers.pgbouncer import pgbouncer_port  # noqa: F401
from tests.servers.postgres import postgres_server  # noqa: F401
from tests.servers.rabbitmq import rabbit_server  # noqa: F401
from tests.servers.temporal import temporal_server  # noqa: F401
from tests.servers.valkey import valkey_server  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SPECIFICATION = ROOT.parent / "shared" / "ows"
"""The specification's own examples and compatibility kit. They are not copied; tests skip where they are absent."""

BY_PLACE: dict[str, tuple[str, ...]] = {
    r"tests/(conformance/engine|unit/engines|faults)/": ("embedded engine, SQLite {sqlite}",),
    r"tests/conformance/language/.*\[(engine|killed)\b": ("embedded engine, SQLite {sqlite}",),
    r"tests/conformance/language/ctk/.*": ("compatibility kit of the specification",),
    r"tests/unit/language/test_expression_differences": ("jq {jq}", "jaq {jaq-rs}"),
}
"""Where a test stands -> what takes part in it. Others say so themselves, by the fixture `took_part`."""

_parts = pytest.StashKey[dict[str, int]]()


settings.register_profile("perdure", deadline=None)
settings.load_profile("perdure")
"""A machine that has other things to do is no failure of one example."""


_GARBAGE = 20_000
"""New objects between two looks for garbage."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_parts] = {}
    gc.disable()  # what is collected stays: looking through it again and again took a fifth of the time of pure tests


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.passed:
        parts = item.config.stash[_parts]
        for place, names in BY_PLACE.items():
            if re.match(place, item.nodeid):
                for name in names:
                    shown = re.sub(r"\{(.+?)\}", lambda found: _version(found[1]), name)
                    parts[shown] = parts.get(shown, 0) + 1
    return report


@functools.cache
def _version(library: str) -> str:
    if library == "sqlite":
        return importlib.import_module("apsw").sqlite_lib_version()
    return importlib.metadata.version(library)


@pytest.fixture
def took_part(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell the closing line that a real server, engine, process or model takes part in this test.

    Call it with the name and version as a reader should see it: `took_part("SmolLM2-135M-Instruct Q4_1")`.
    """
    parts = request.config.stash[_parts]

    def register(name: str) -> None:
        parts[name] = parts.get(name, 0) + 1

    return register


@pytest.fixture
def require() -> Callable[[bool, str], None]:
    """Skip with one clear line when a server or model is missing; fail instead under PERDURE_REQUIRE_SERVERS=1."""

    def check(present: bool, line: str) -> None:
        if present:
            return
        if os.environ.get("PERDURE_REQUIRE_SERVERS") == "1":
            pytest.fail(line)
        pytest.skip(line)

    return check


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not session.config.option.collectonly:
        reporter.write_line(_closing_line(reporter, session.config.stash[_parts]))
    return result


def _closing_line(reporter: pytest.TerminalReporter, parts: dict[str, int]) -> str:
    counts = {kind: len(reporter.stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped", "xfailed")}
    counted = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "nothing ran"
    taking_part = ", ".join(f"{name} ({count})" for name, count in sorted(parts.items()))
    return f"perdure: {sum(counts.values())} tests: {counted}; took part: {taking_part or 'pure code only'}"
