"""What a command imports: start-up time is a feature, and a list of modules is a measure that no busy machine disturbs."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp": "imported at the first outgoing call",
    "rich": "imported on a terminal",
    "argcomplete": "imported while a shell completes",
    "httpx": "never", "httpx2": "never", "requests": "never", "pydantic": "never", "sqlalchemy": "never",
    "xllamacpp": "lives in a process of its own",
    "numpy": "never", "hypothesis": "a test tool", "pytest": "a test tool",
}  # fmt: skip
OF_CALLS = (
    "perdure.wiring.calls",
    "perdure.functions.",
    "perdure.adapters.model_",
    "importlib.metadata",
    "email",
    "zipfile",
)
"""What stands behind `wiring/calls.py`: imported where a document calls something."""
USED = {"perdure.functions.table", "perdure.functions.resolve", "perdure.functions.openapi_document"}

PROGRAM = """
import json, sys
from perdure.cli.main import main
before = set(sys.modules)
try:
    code = main(sys.argv[1:])
except SystemExit as leaving:
    code = leaving.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""

DOCUMENT = """
document: { dsl: 1.0.3, namespace: test, name: one-task, version: 1.0.0 }
do:
  - greet: { set: { greeting: "${ .name }" } }
"""


def loaded_by(*arguments: str, data) -> set[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment, "PERDURE_DATA": str(data), "TERM": "dumb"},
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_imports_next_to_nothing(arguments, tmp_path):
    ours = {"msgspec", "yaml", "apsw", "purejq", "jsonschema_rs", "re2", "asyncio", "logging", "tempfile", *HEAVY}
    assert not loaded_by(*arguments, data=tmp_path) & ours


@pytest.mark.parametrize("command", ["run", "runs", "events", "validate", "functions", "schema", "completion"])
def test_help_of_a_command_opens_no_engine(command, tmp_path):
    assert not loaded_by(command, "--help", data=tmp_path) & {"apsw", *HEAVY}


def test_a_run_that_calls_nothing_outside_imports_the_core_only(tmp_path):
    document = tmp_path / "one.yaml"
    document.write_text(DOCUMENT)
    loaded = loaded_by("run", str(document), "--quiet", data=tmp_path / "data")
    assert not loaded & set(HEAVY), loaded & set(HEAVY)
    assert {"msgspec", "apsw", "purejq"} <= loaded
    assert not {name for name in loaded if name.startswith(OF_CALLS)} - USED
    assert "jsonschema_rs" not in loaded, "there is no schema in the document"
