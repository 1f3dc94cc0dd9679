"""Recorded histories of a Temporal server: one file a recording, one line a history, without the names of machines."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("recorded_temporal")
_UNSAID = frozenset({"identity", "workerVersion", "deploymentVersion", "sdkMetadata", "requestId", "taskId"})
"""Who worked and with what: nobody needs it to replay, but for the flags of the library."""


def recorded() -> list[Path]:
    return sorted(FOLDER.glob("*.jsonl.gz"))


def lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") as file:
        yield from (line for line in file if line.strip())


def line_of(history: Any) -> str:
    """One history as a line."""
    events = _clean(json.loads(history.to_json())["events"])
    return json.dumps({"id": history.workflow_id, "events": events}, separators=(",", ":"))


def shape_of(line: str) -> tuple[str, ...]:
    """What happens in it, one kind of event after another."""
    return tuple(event["eventType"] for event in json.loads(line)["events"])


def kind_of(line: str) -> str:
    """The workflow: ours, the exchange, or one of the scenarios with a clock that jumps."""
    events = json.loads(line)["events"]
    kind: str = events[0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
    is_clocked = kind == "perdure" and any("MARKER_RECORDED" in event["eventType"] for event in events)
    return "clocked" if is_clocked else kind


def write(path: Path, chosen: list[str]) -> None:
    body = "".join(line.rstrip("\n") + "\n" for line in chosen).encode()
    path.write_bytes(gzip.compress(body, 9, mtime=0))


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("kind", "")).endswith("STICKY"):
        return value | {"name": "sticky"}
    flags = (value.get("sdkMetadata") or {}).get("langUsedFlags"), (value.get("sdkMetadata") or {}).get("coreUsedFlags")
    cleaned = {name: _clean(item) for name, item in value.items() if name not in _UNSAID}
    if any(flags):
        named = zip(("langUsedFlags", "coreUsedFlags"), flags, strict=True)
        cleaned["sdkMetadata"] = {name: flag for name, flag in named if flag}
    return cleaned
