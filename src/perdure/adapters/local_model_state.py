"""The file by which the local model's process is found again. Small, because every `perdure run` loads it."""

import os
from pathlib import Path
from typing import Any

import msgspec

STATE = "model.json"


def read_state(directory: Path) -> dict[str, Any]:
    """What a running server wrote down: `port pid model token weights threads`; empty when there is none."""
    try:
        state = msgspec.json.decode((directory / STATE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(directory: Path, kept: dict[str, Any]) -> None:
    """Whole or not at all, and for nobody else to read: it holds the token."""
    state = directory / STATE
    draft = state.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(kept))
    draft.replace(state)
