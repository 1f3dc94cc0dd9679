"""Keeps standard output for what a command answers: whatever functions of the user print goes to standard error."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def functions() -> Iterator[None]:
    """Around all that may import a module of the user or call a function in it. The descriptor itself is turned away:
    what a library or a child process writes goes elsewhere, too."""
    try:
        sys.stdout.flush()
        own = os.dup(1)
    except OSError:  # standard output is closed
        yield
        return
    try:
        _point_away()
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            os.dup2(own, 1)
            os.close(own)


def _point_away() -> None:
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
