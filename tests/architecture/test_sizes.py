"""How large things may become before somebody has to think."""

import ast
import re
from pathlib import Path

from tests.architecture.sources import functions, modules, relative

FILE_LINES = 600
FUNCTION_LINES = 80
POSITIONAL = 5
NESTING = 4
"""Three levels of blocks inside a function's own; a `match` with its cases counts as one."""

_ASSEMBLED = "built once, in `EmbeddedEngine._assemble`, of parts that all differ in type"
EXEMPT: dict[str, str] = {
    "src/perdure/engines/embedded/residents.py:__init__": _ASSEMBLED,
    "src/perdure/engines/embedded/worker.py:__init__": _ASSEMBLED,
    "src/perdure/language/guard/nodes.py:_alternatives": "what one `?//` holds, and where it is evaluated",
}
"""`path` or `path:function` -> why it may be larger. An exemption nothing needs any more fails."""

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def test_files_stay_readable():
    large = {relative(path) for path in modules() if len(path.read_text().splitlines()) > FILE_LINES}
    assert large <= set(EXEMPT), large - set(EXEMPT)


def is_step(path: Path) -> bool:
    """A step of a service's tables: a list of what is made, written by `make migration`."""
    return re.match(r"src/perdure/migrations/\w+/\d{4}_", relative(path)) is not None


def test_functions_stay_readable():
    for path in modules():
        if is_step(path):
            continue
        for function in functions(path):
            name = f"{relative(path)}:{function.name}"
            lines = (function.end_lineno or 0) - function.lineno + 1
            assert lines <= FUNCTION_LINES or name in EXEMPT, f"{name} has {lines} lines"


def is_routes(path: Path) -> bool:
    """The parameters of its functions are those of HTTP requests, which have names."""
    return path.parent.parent.name == "services" and path.name.startswith("routes")


def test_few_positional_parameters():
    for path in modules():
        if is_routes(path):
            continue
        for function in functions(path):
            names = [a.arg for a in function.args.posonlyargs + function.args.args if a.arg not in {"self", "cls"}]
            name = f"{relative(path)}:{function.name}"
            assert len(names) <= POSITIONAL or name in EXEMPT, f"{name} takes {names}"


def test_blocks_are_not_nested_deeply():
    for path in modules():
        for function in functions(path):
            depth = nesting(function)
            name = f"{relative(path)}:{function.name}"
            assert depth <= NESTING or name in EXEMPT, f"{name} nests {depth} levels"


def test_no_exemption_is_stale():
    known = {relative(path) for path in modules()}
    known |= {f"{relative(path)}:{function.name}" for path in modules() for function in functions(path)}
    assert set(EXEMPT) <= known


def nesting(node: ast.AST) -> int:
    deepest = 0
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            ):
                continue
            is_elif = field == "orelse" and isinstance(node, ast.If) and isinstance(child, ast.If) and len(value) == 1
            deepest = max(deepest, nesting(child) + (isinstance(child, _BLOCKS) and not is_elif))
    return deepest
