"""What the requests and answers of all services share over HTTP: strict shapes, moments, one line of text, cursors."""

import datetime as dt
import functools
from typing import Any

from pydantic import BaseModel, ConfigDict

Line = r"^[^\x00-\x1f\x7f]*$"


class Shape(BaseModel):
    """Unknown keys are refused: a misspelt one must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def moment(at: int) -> str:
    """RFC 3339, in UTC."""
    second, part = divmod(at, 1000)
    return f"{_second(second)}.{part:03d}Z"


@functools.lru_cache(maxsize=1024)
def _second(second: int) -> str:
    """One answer names the same few seconds again and again."""
    return dt.datetime.fromtimestamp(second, dt.UTC).replace(tzinfo=None).isoformat()


def maybe(at: int | None) -> str | None:
    return None if at is None else moment(at)


def page(items: list[Any], limit: int) -> str | None:
    """The cursor of the next page: the last id of this one, when there may be more."""
    return items[-1].id if len(items) == limit else None
