"""What import contracts cannot see in the pure floors: clocks, chance, ids, and orders that differ from run to run."""

import ast
from pathlib import Path

from tests.architecture.sources import PACKAGE, PURE, modules, relative, tree

CALLS = {"open", "print", "input", "eval", "exec", "compile", "__import__", "hash", "id", "vars", "globals"}
ATTRIBUTES = {
    "now",
    "utcnow",
    "today",
    "uuid1",
    "uuid3",
    "uuid4",
    "getenv",
    "environ",
    "urandom",
    "sleep",
    "perf_counter",
}
OF_TIME = {"datetime", "date", "time", "uuid", "os", "random", "asyncio"}
ALLOWED = {
    "src/perdure/language/guard/paths.py": {"id"},  # who owns a copy within one evaluation; never seen outside
}
ANYWHERE = {"eval", "exec", "__import__"}


def pure_modules() -> list[Path]:
    return [path for path in modules() if path.relative_to(PACKAGE).parts[0] in PURE]


def defined(path: Path) -> set[str]:
    return {node.name for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)}


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def test_pure_floors_call_nothing_that_differs_from_run_to_run():
    for path in pure_modules():
        own = defined(path) | imported(path) | ALLOWED.get(relative(path), set())
        for node in ast.walk(tree(path)):
            where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in CALLS - own, f"{where}: {node.func.id}()"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OF_TIME:
                assert node.attr not in ATTRIBUTES, f"{where}: {node.value.id}.{node.attr}"


def test_pure_floors_iterate_over_no_set():
    for path in pure_modules():
        for node in ast.walk(tree(path)):
            iterated = node.iter if isinstance(node, ast.For | ast.comprehension) else None
            assert not is_set(iterated), f"{relative(path)}:{getattr(iterated, 'lineno', 0)} iterates over a set"


def is_set(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"set", "frozenset"}


def test_only_the_egress_client_opens_addresses():
    ours = PACKAGE / "client" / "senders.py"  # to the one server that its user named
    for path in (path for path in modules() if path != ours):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                where = f"{relative(path)} imports {names}"
                assert not {"urllib.request", "http.client"} & set(names), where
                assert not ("http" in names and "client" in names), where


def test_nothing_that_a_document_reaches_evaluates_code():
    for path in modules():
        for node in ast.walk(tree(path)):
            where = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ANYWHERE, f"{where}: {node.func.id}()"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "marshal", "shelve"} & set(names), where
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "yaml":
                assert node.attr not in {"load", "unsafe_load", "full_load", "load_all"}, where
