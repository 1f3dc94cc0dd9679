"""S1: nothing that a definition reaches makes code out of data (security.md, rule 1)."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "perdure"
FILES = sorted(path for floor in ("language", "interpreter", "functions") for path in (SOURCE / floor).rglob("*.py"))
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
BANNED_MODULES = {"importlib", "pickle", "marshal", "shelve", "runpy", "code", "codeop", "ctypes", "subprocess", "dill"}
BANNED_ATTRIBUTES = {
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
    ("os", "system"),
    ("os", "popen"),
}

EXCEPTIONS = {
    "functions/python.py": {"importlib", "importlib.util", "importlib.metadata"},
}
"""Loads the modules that the administrator names on the command line or installs; never a name from a document."""


def _name(path):
    return path.relative_to(SOURCE).as_posix()


def _own_names(tree):
    """Functions that a module defines or imports from our own package under a banned name (`compile` of a task)."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("perdure"):
            own |= {alias.asname or alias.name for alias in node.names}
    return own


def _offences(path):
    tree = ast.parse(path.read_text())
    own = _own_names(tree)
    allowed = EXCEPTIONS.get(_name(path), set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in BANNED_MODULES and alias.name not in allowed:
                    yield f"line {node.lineno}: import {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in BANNED_MODULES and node.module not in allowed:
                yield f"line {node.lineno}: from {node.module} import"
        elif isinstance(node, ast.Name):
            if node.id in BANNED_CALLS and node.id not in own and isinstance(node.ctx, ast.Load):
                yield f"line {node.lineno}: {node.id}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in BANNED_ATTRIBUTES:
                yield f"line {node.lineno}: {node.value.id}.{node.attr}"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_module_makes_code_of_data(path):
    assert list(_offences(path)) == []


def test_the_floors_were_found_and_the_exceptions_are_real():
    assert len(FILES) > 30
    names = {_name(path) for path in FILES}
    assert set(EXCEPTIONS) <= names


def test_the_test_itself_sees_what_it_looks_for(tmp_path):
    hostile = tmp_path / "hostile.py"
    hostile.write_text("import pickle\nfrom importlib import util\nx = eval('1')\nimport yaml\nyaml.load('')\n")
    global SOURCE
    before, SOURCE = SOURCE, tmp_path
    try:
        assert len(list(_offences(hostile))) == 4
    finally:
        SOURCE = before
