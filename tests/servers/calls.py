"""What a function is called with, for tests of functions."""

from collections.abc import Mapping
from typing import Any

from perdure.interpreter.faults import problem
from perdure.ports.function import Context, FunctionFault


def context(
    secrets: Mapping[str, Any] | None = None,
    *,
    hosts: Mapping[str, tuple[str, ...]] | None = None,
    resources: dict[str, Any] | None = None,
    key: str = "key-1",
    tenant: str = "acme",
) -> Context:
    """A context whose secrets are those given, bound to `hosts` by name."""

    def secret(path: list[str]) -> Any:
        value: Any = secrets or {}
        for part in path:
            if not isinstance(value, Mapping) or part not in value:
                raise FunctionFault(problem("authorization", detail=f"There is no secret {'.'.join(path)}."))
            value = value[part]
        return value

    return Context(
        tenant=tenant,
        run="run-1",
        path="/do/0/a",
        ref="/do/0/a",
        key=key,
        attempt=1,
        deadline=None,
        resources=resources or {},
        secret=secret,
        secret_hosts=lambda name: (hosts or {}).get(name, ()),
        progress=lambda data: None,
    )


def handle(*path: str) -> dict[str, Any]:
    """A secret handle as it stands in arguments."""
    return {"$perdure.secret": list(path)}
