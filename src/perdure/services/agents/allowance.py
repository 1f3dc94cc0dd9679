"""Which models a key may use: the patterns that it was given, compared with the whole name of a model.

Names are compared as they are: what a pattern does not say is not allowed, so a strange spelling is refused, never let in.
"""

import fnmatch
from collections.abc import Iterable

from perdure.errors import Denied


class ModelDenied(Denied):
    """The key may not use this model."""

    code = "model-denied"


def is_allowed(patterns: Iterable[str], name: str) -> bool:
    """`openai/*` lets in every model of the provider, and so the one that it takes when none is named."""
    own = name if "/" in name else f"{name}/"
    return any(fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(own, pattern) for pattern in patterns)


def refuse_others(patterns: tuple[str, ...], name: str) -> None:
    """ModelDenied for a model that no pattern names."""
    if not is_allowed(patterns, name):
        raise ModelDenied(
            f"This API key may not use the model {name[:200]!r}.",
            hint=f"It may use {', '.join(patterns)}; who made the key can change that.",
        )


def allowed(patterns: tuple[str, ...], names: list[str]) -> list[str]:
    """Those of the names that may be used."""
    return [name for name in names if is_allowed(patterns, name)] if patterns else names
