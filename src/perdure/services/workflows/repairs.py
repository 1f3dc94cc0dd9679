"""Runs that cannot go on by themselves, as questions to people: nobody knows whether a call happened that must not be made
twice (reliability.md 1), or a compensation failed for good (language.md 5.4). The run is faulted and keeps its place.
"""

import logging
import re
from typing import Any

from perdure.errors import Conflict, NotFound
from perdure.language.values import content_hash
from perdure.ports.engine import Engine
from perdure.services.workflows import events
from perdure.services.workflows.models import Item

_log = logging.getLogger("perdure.workflows")

_UNKNOWN = "outcome unknown"
_compensation = re.compile(r"The compensation of (\S+) failed: ")
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "action": {
            "enum": ["retry", "skip", "leave"],
            "description": "Enter the task again, end it with `output` and go on, or leave the run as it is.",
        },
        "output": {"description": "What the task is taken to have given, for `skip`."},
    },
    "required": ["action"],
    "additionalProperties": False,
}


def is_needed(event: dict[str, Any]) -> bool:
    """Whether this tells of a run that waits for a person now."""
    return event.get("type") == events.RUN_FAULTED and _question(_error(event)) is not None


def item_of(tenant: str, id: str, event: dict[str, Any], now: int) -> Item:
    """The question about such a run."""
    error = _error(event)
    title = _question(error) or "What is to become of this run?"
    details = {"error": error, "workflow": str(event["source"]).strip("/")}
    return Item(
        tenant=tenant, id=id, request=str(event["id"])[:200], source=str(event["source"])[:500], kind="repair",
        title=title, details=details, form=FORM, hash=content_hash([title, details, FORM]),
        run=str(event["subject"])[:200], task=str(error.get("instance", ""))[:500], asked=now,
    )  # fmt: skip


async def repair(engine: Engine, tenant: str, told: dict[str, Any]) -> str | None:
    """Do what was decided, and give the verb of it; None when nothing was to be done. A run that somebody mended meanwhile
    stays as it is."""
    wanted = told["data"] if told["approved"] and isinstance(told["data"], dict) else {"action": "leave"}
    try:
        if wanted["action"] == "retry":
            await engine.retry(tenant, told["run"])
        elif wanted["action"] == "skip":
            await engine.skip(tenant, told["run"], output=wanted.get("output"), has_output="output" in wanted)
    except (Conflict, NotFound) as error:
        _log.info("The run %s was not mended: %s", told["run"], error)
    return wanted["action"] if wanted["action"] in {"retry", "skip"} else None


def _error(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    error = data.get("error") if isinstance(data, dict) else None
    return error if isinstance(error, dict) else {}


def _question(error: dict[str, Any]) -> str | None:
    if error.get("title") == _UNKNOWN:
        return "A call may have happened, or not. What now?"
    detail = error.get("detail")
    if isinstance(detail, str) and _compensation.search(detail):
        return "Something could not be undone. What now?"
    return None
