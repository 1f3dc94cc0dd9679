"""T5: every operation with what its description allows and with what it forbids, made by schemathesis.

Nothing is a 5xx; answers fit their description; what does not fit is refused; what was deleted is gone; nothing answers
without credentials or with wrong ones. `PERDURE_T5_EXAMPLES` sets the examples of an operation (2,000 for a release).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.estate import Estate
from tests.servers.platform import Served, platform

EXAMPLES = os.environ.get("PERDURE_T5_EXAMPLES", "6")
CONFIG = """\
[checks.positive_data_acceptance]
# A rule may say more than a schema can, and limits hold for what fits as well.
expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]
"""
OPERATION = """
[[operations]]
include-path-regex = '{path}'
parameters = {{ '{name}' = '{value}' }}
"""


WAITING = "/(stream|execute|chat)$"
"""Operations that wait for a run that is there, and its end may be an hour away. Without one they are done as well."""

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path_factory) -> Served:
    """A platform of its own for each test: its operations are all done, the end of its key among them."""
    with platform(tmp_path_factory.mktemp("t5"), log_level="warning") as running:
        yield running


def outcome_of(served: Served, key: str, folder: Path, phases: str, extra: str = "", *more: str) -> str:
    """What schemathesis says in the end; fails with all of what it found."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG + extra)
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run",
        f"{served.address}/api/v1/openapi.json", "--header", f"x-api-key: {key}", "--phases", phases, "--checks", "all",
        "--max-examples", EXAMPLES, "--seed", "1", "--no-color", "--continue-on-failure", *more,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    failed = [
        line for line in served.log.read_text().splitlines() if '"request failed"' in line or '"answer cut' in line
    ]
    assert not failed, failed[:3]
    return done.stdout


def cases(output: str) -> int:
    found = re.search(r"(\d+) generated", output)
    assert found, output
    return int(found[1])


def test_every_operation_by_its_description(own, openapi, tmp_path):
    output = outcome_of(own, own.key, tmp_path, "examples,coverage,fuzzing,stateful")
    count = sum(len(methods) for methods in openapi["paths"].values())
    assert re.search(rf"Tested: {count}\b", output), "an operation was left out"
    assert cases(output) > 3000


def test_operations_on_what_is_there(own, tmp_path):
    """The same on runs, schedules, questions that exist: there is more to go wrong."""
    estate = Estate(own, "t5")
    estate.furnish()
    nouns = {"workflows": "workflow", "runs": "run", "schedules": "schedule", "webhooks": "webhook", "inbox": "item"}
    extra = "".join(
        OPERATION.format(path=rf"/{path}/\{{id\}}", name="path.id", value=estate.ids[noun])
        for path, noun in nouns.items()
    )
    assert cases(outcome_of(own, estate.key, tmp_path, "fuzzing", extra, "--exclude-path-regex", WAITING)) > 300
