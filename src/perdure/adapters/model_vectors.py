"""What the embeddings of an endpoint become: one vector for each text, all of one length, or a sentence why not."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from perdure.ports.model import ModelFailed, Texts, Vectors


@contextlib.contextmanager
def listed() -> Iterator[None]:
    """Around reading what an endpoint answered. ModelFailed when it is no list of embeddings."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError):
        raise ModelFailed(
            "The model endpoint answered with something that is no list of embeddings.",
            failure="communication",
            sent=True,
        ) from None


def checked(found: Iterable[Iterable[Any]], usage: dict[str, Any], texts: Texts) -> Vectors:
    """One vector for each text, all of one length. ModelFailed otherwise."""
    vectors = tuple(tuple(float(value) for value in vector) for vector in found)
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != len(texts.texts) or len(lengths) > 1 or 0 in lengths:
        raise ModelFailed(
            f"The model endpoint gave {len(vectors)} vectors for {len(texts.texts)} texts, or not of one length.",
            failure="communication",
            sent=True,
        )
    return Vectors(vectors=vectors, usage=usage)
