"""Perdure: durable AI workflows and agents in one standard document.

The package's own front door stays empty of imports so that `perdure --help` starts fast; the few names users need
(`function`, `__version__`) are resolved on first use.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "function"]


def __getattr__(name: str) -> Any:
    if name == "function":
        from perdure.functions.python import function

        return function
    raise AttributeError(f"module 'perdure' has no attribute {name!r}")
