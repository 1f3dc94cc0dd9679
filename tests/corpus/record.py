"""Record a case: `python -m tests.corpus.record NAME`, or `all` for those that have no recording yet.

A recording is never changed: a run that an earlier release began must go on in every later one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from perdure.interpreter import events as e
from perdure.interpreter.machine import compile, step
from perdure.language.values import content_hash
from tests.corpus.cases import CASES, Case
from tests.unit.interpreter.dialogue import Dialogue

MANY = 500
FOLDER = Path(__file__).parent / "recorded"


class Recorder(Dialogue):
    """A dialogue that keeps the events."""

    def __init__(self, document: str) -> None:
        self.events: list[Any] = []
        super().__init__(document)

    def hand(self, event: Any) -> list[Any]:
        self.events.append(event)
        return super().hand(event)


def play(case: Case) -> dict[str, Any]:
    run = Recorder(case.document)
    run.start(case.input)
    case.play(run)
    assert run.status in ("completed", "faulted", "cancelled"), run.status
    return recording(run.document, run.events)


def recording(document: Any, events: list[Any]) -> dict[str, Any]:
    """The events, and for each the commands it gives: what every release must repeat."""
    program = compile(document)
    state: Any = None
    exchanges = []
    for event in events:
        state, commands = step(program, state, event)
        exchanges.append({"event": msgspec.to_builtins(event), "commands": written(commands)})
    return {"document": document, "exchanges": exchanges}


def written(commands: list[Any]) -> Any:
    """The commands as JSON; of very many, their number and the hash of their canonical text."""
    as_json = msgspec.to_builtins(commands)
    return as_json if len(commands) <= MANY else {"number": len(commands), "hash": content_hash(as_json)}


def write(name: str) -> None:
    path = FOLDER / f"{name}.json"
    if path.exists():
        sys.exit(f"{path} is recorded already, and a recording is never changed. Give the case another name.")
    lines = play(CASES[name])
    exchanges = ",\n".join(json.dumps(exchange, ensure_ascii=False) for exchange in lines["exchanges"])
    document = json.dumps(lines["document"], ensure_ascii=False)
    path.write_text(f'{{"document": {document},\n"exchanges": [\n{exchanges}\n]}}\n')


def events_of(recorded: dict[str, Any]) -> list[e.Event]:
    return [msgspec.convert(exchange["event"], e.Event) for exchange in recorded["exchanges"]]


def main() -> None:
    names = sys.argv[1:]
    if names == ["all"]:
        names = [name for name in CASES if not (FOLDER / f"{name}.json").exists()]
    if not names or not set(names) <= set(CASES):
        sys.exit(f"Name cases of tests/corpus/cases.py: {', '.join(CASES)}")
    for name in names:
        write(name)


if __name__ == "__main__":
    main()
