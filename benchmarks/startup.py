"""What starting costs: `perdure --help` and `perdure run` of a document with one task, as processes of their own.

`python startup.py FOLDER TIMES` prints `{command: {"seconds": [...], "cpu": [...], "megabytes": [...]}}`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

DOCUMENT = """document: { dsl: '1.0.3', namespace: bench, name: one, version: '1.0.0' }
do:
  - greet: { set: { text: '${ "Hello \\(.name)" }' } }
"""


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and the peak in MB of one process."""
    began = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(folder: Path, times: int) -> None:
    file = folder / "one.yaml"
    file.write_text(DOCUMENT)
    perdure = str(Path(sys.executable).parent / "perdure")
    commands = {
        "perdure --help": [perdure, "--help"],
        "perdure run": [
            perdure,
            "run",
            str(file),
            "--input",
            '{"name": "Ada"}',
            "--data",
            str(folder / "data"),
            "--quiet",
        ],
    }
    rows: dict[str, dict[str, list[float]]] = {}
    for name, command in commands.items():
        measured = [measure(command) for _ in range(times)]
        seconds, cpu, megabytes = (list(column) for column in zip(*measured, strict=True))
        rows[name] = {"seconds": seconds, "cpu": cpu, "megabytes": megabytes}
    print(json.dumps(rows))


main(Path(sys.argv[1]), int(sys.argv[2]))
