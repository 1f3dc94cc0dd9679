"""What checking says about a document: findings, each at a place, each with a hint where one is known."""

from typing import Literal

import msgspec

Severity = Literal["error", "lint"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to say about a document.

    `pointer` is the JSON pointer (RFC 6901) of the node, `line` and `column` count from 1 (0 where the document has no
    text). `code` is stable and kebab-case; `message` is one sentence; `hint` says what to write instead.
    """

    severity: Severity
    code: str
    pointer: str
    line: int
    column: int
    message: str
    hint: str | None = None
