"""T6: a minute of hostile texts for what reads documents, expressions, durations, templates and answers.

Each target is a process of its own (`fuzzing.py`), with the same seed and as many inputs every time. A longer search:
`PERDURE_FUZZ_SECONDS=600 pytest tests/system/test_fuzz.py`.
"""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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


def fuzz(target: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, text in enumerate(seeds(target)):
        (corpus / f"{number:04}").write_text(text)
    bound = [f"-max_total_time={SECONDS}"] if SECONDS else [f"-runs={RUNS[target]}", f"-max_total_time={LONGEST}"]
    return subprocess.run(
        [
            *BESIDE, sys.executable, str(ROOT / "tests/system/fuzzing.py"), target, *bound, "-seed=1", "-timeout=20",
            f"-rss_limit_mb={MEGABYTES}", "-max_len=4096", "-print_final_stats=0", f"-artifact_prefix={folder}/", str(corpus),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def started(tmp_path_factory, request):
    """Of every target that is asked about, where it leaves what it finds and what it will have said: two at a time."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (it comes with the extra `test` on Linux)")
    folder = tmp_path_factory.mktemp("fuzz")
    asked = {item.callspec.params["target"] for item in request.session.items if item.path == request.path}
    with ThreadPoolExecutor(2) as threads:
        yield {
            target: (folder / target, threads.submit(fuzz, target, folder / target))
            for target in RUNS
            if target in asked
        }
        threads.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 3 + 120)
@pytest.mark.parametrize("target", list(RUNS))
def test_nothing_but_the_promised_errors_comes_out(target, started):
    folder, saying = started[target]
    done = saying.result()
    found = [file.read_bytes() for file in folder.glob("*-*") if file.is_file()]
    assert done.returncode == 0, f"{found}\n{done.stderr[-3000:]}"
    assert "Done " in done.stderr
