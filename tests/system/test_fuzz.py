"""T6: a minute of hostile texts for what reads documents, expressions, durations, templates and answers.

Each target is a process of its own (`fuzzing.py`), with the same seed and as many inputs every time. A longer search:
`PERDURE_FUZZ_SECONDS=600 pytest tests/system/test_fuzz.py`.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.language.expression_probes import PROBES

ROOT = Path(__file__).parent.parent.parent
SECONDS = int(os.environ.get("PERDURE_FUZZ_SECONDS", "0"))
RUNS = {"document": 15_000, "expression": 40_000, "template": 60_000, "scalar": 20_000, "body": 60_000}
LONGEST = 25
MEGABYTES = 768
"""With atheris and its counters; the parts themselves stay far below."""

BESIDE = ["sh", "-c", '"$@"; exit $?', "sh"]
"""A small process in between: a process begins with the peak of who started it, and that of a test run is high."""

TEXTS = {
    "template": ['${ "a \\(.n)" }', "${ .a[] | select(. != null) } and", "{a: [${ $input }]}"],
    "scalar": ["P1Y2M3DT4H5M6.7S", "PT0.5S", "0 8-18/2 * JAN,MAR MON-FRI", "https://x/{a}/y?q={b}#{c}"],
    "body": [
        'application/json; charset=utf-8\n{"a": [1, 2.5e3, "\\ud83d\\ude00", null]}',
        "application/x-www-form-urlencoded\na=1&b=%20&a=2",
        "text/plain; charset=latin-1\nhällo",
    ],
}


def seeds(target: str) -> list[str]:
    if target == "expression":
        return [source for source, _ in PROBES]
    if target == "document":
        files = [*ROOT.glob("examples/*/workflow.yaml"), *ROOT.glob("tests/conformance/language/features/*.feature")]
        return [file.read_text()[:4000] for file in files]
    return TEXTS[target]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 120)
@pytest.mark.parametrize("target", list(RUNS))
def test_nothing_but_the_promised_errors_comes_out(target, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (it comes with the extra `test` on Linux)")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, text in enumerate(seeds(target)):
        (corpus / f"{number:04}").write_text(text)
    bound = [f"-max_total_time={SECONDS}"] if SECONDS else [f"-runs={RUNS[target]}", f"-max_total_time={LONGEST}"]
    done = subprocess.run(
        [
            *BESIDE, sys.executable, str(ROOT / "tests/system/fuzzing.py"), target, *bound, "-seed=1", "-timeout=20",
            f"-rss_limit_mb={MEGABYTES}", "-max_len=4096", "-print_final_stats=0", f"-artifact_prefix={tmp_path}/", str(corpus),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    found = [file.read_bytes() for file in tmp_path.glob("*-*") if file.is_file()]
    assert done.returncode == 0, f"{found}\n{done.stderr[-3000:]}"
    assert "Done " in done.stderr
