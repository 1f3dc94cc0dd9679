"""S10: a statement is a constant or an expression of the library; no text of anybody is ever part of one."""

import ast
from pathlib import Path

from tests.architecture.sources import PACKAGE, modules, relative, tree

EXECUTING = {"execute", "executemany", "exec_driver_sql", "executescript", "scalar", "scalars"}
TEXTS = {"text", "literal_column", "DDL", "SQL"}
_PRAGMA = "a pragma takes no parameters; its name and value are constants of the module"
_NAME = "a schema takes no parameter; it is the name of one of our services, checked where it enters"
ALLOWED: dict[str, str] = {
    "src/perdure/adapters/database_postgres.py:making": _NAME,
    "src/perdure/adapters/database_sqlite.py:engine": _PRAGMA,
    "src/perdure/adapters/database_sqlite.py:prepare": _PRAGMA,
    "src/perdure/engines/embedded/journal.py:_bring_up_to_date": "the steps are files of the package",
    "src/perdure/engines/embedded/journal.py:_make_durable": _PRAGMA,
    "src/perdure/engines/embedded/journal.py:_pragma": _PRAGMA,
    "src/perdure/migrations/histories.py:alone": _NAME,
    "src/perdure/migrations/histories.py:version": _NAME,
}
"""`path:function` -> why a made text is safe there. An entry nothing needs any more fails."""


def made(node: ast.expr) -> bool:
    """Whether a text is put together here: f-string with values, `+`, `%`, `.format`, `.join`."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod) and (_texty(node.left) or _texty(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in {"format", "join", "replace"} and _texty(node.func.value)
    return False


def _texty(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or made(node)


def statements(path: Path):
    """(function, line) of every statement of a file that is put together from parts."""
    for function in ast.walk(tree(path)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        assigned = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and made(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and node.args and _is_statement(node.func):
                given = node.args[0]
                if made(given) or (isinstance(given, ast.Name) and given.id in assigned):
                    yield getattr(function, "name", "module"), node.lineno


def _is_statement(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        of_library = isinstance(function.value, ast.Name) and function.value.id in {"sa", "sqlalchemy"}
        return function.attr in EXECUTING or (of_library and function.attr in TEXTS)
    return isinstance(function, ast.Name) and function.id in TEXTS


def test_no_statement_is_put_together():
    found = {}
    for path in modules():
        for function, line in statements(path):
            if function != "module":
                found[f"{relative(path)}:{function}"] = line
    assert set(found) <= set(ALLOWED), {name: line for name, line in found.items() if name not in ALLOWED}
    assert set(ALLOWED) <= set(found), "an exemption that nothing needs any more"


def test_the_lint_sees_each_way_to_do_it(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "def a(c, x): c.execute(f'select {x}')\n"
        "def b(c, x): c.execute('select ' + x)\n"
        "def d(c, x): c.execute('select %s' % x)\n"
        "def e(c, x): c.execute(text('select {}'.format(x)))\n"
        "def f(c, x):\n    q = f'select {x}'\n    c.execute(q)\n"
        "def g(c, x): c.execute(' '.join(['select', x]))\n"
        "def ok(c, x): c.execute('select ?', (x,))\n"
    )
    assert {name for name, _ in statements(bad) if name != "module"} == {"a", "b", "d", "e", "f", "g"}


def test_only_stores_and_adapters_know_sql():
    for path in modules():
        if path.is_relative_to(PACKAGE / "gateway"):
            names = {
                alias.name.partition(".")[0]
                for node in ast.walk(tree(path))
                if isinstance(node, ast.Import)
                for alias in node.names
            }
            assert not names & {"sqlalchemy", "sqlite3", "apsw", "psycopg"}, relative(path)
