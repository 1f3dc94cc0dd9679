"""Names that say nothing, and work that was left for later."""

import ast
import re

import pytest

from tests.architecture.sources import PACKAGE, ROOT, modules, relative, tracked, tree

DRAWERS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "base",
    "core",
    "kit",
    "shared",
    "lib",
    "types",
    "interfaces",
}
EMPTY_ENDINGS = ("Manager", "Helper", "Handler", "Processor", "Impl", "Base", "Info", "Data")
LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def test_no_drawers():
    for path in [*modules(), *(PACKAGE.rglob("*/"))]:
        assert path.stem.strip("_") not in DRAWERS, relative(path)


def test_no_empty_class_names():
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                name = node.name.strip("_")
                assert name.lower() not in DRAWERS, f"{relative(path)}: {node.name}"
                assert not name.endswith(EMPTY_ENDINGS), f"{relative(path)}: {node.name}"
                assert not name.startswith("Abstract"), f"{relative(path)}: {node.name}"


def test_every_module_says_what_it_owns():
    for path in modules():
        docstring = ast.get_docstring(tree(path))
        assert docstring, f"{relative(path)} has no docstring"


def test_three_levels_of_folders_at_most():
    for path in modules():
        assert len(path.relative_to(PACKAGE).parts) <= 4, relative(path)


def test_nothing_is_left_for_later():
    this = "tests/architecture/test_names.py"
    for path in tracked():
        if path.suffix in {".py", ".sql", ".md", ".sh", ".toml"} and relative(path) != this:
            found = LATER.search(path.read_text())
            assert not found, f"{relative(path)}: {found and found[0]}"


def test_only_the_command_line_prints():
    for path in modules():
        if "cli" in path.relative_to(PACKAGE).parts:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{relative(path)}:{node.lineno}"


FOREIGN = {
    "an index of packages": r"pypi" + r"\.org|python" + r"hosted|registry\.npm" + "js",
    "a path of one machine": r"/wo" + r"rk/|/ro" + r"ot/|/ho" + r"me/\w+/|/opt/py" + r"pi",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_the_repository_names_nothing_of_ours(what):
    pattern = re.compile(FOREIGN[what])
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found = pattern.search(text)
        assert not found, f"{relative(path)} holds {what}: {found and found[0]}"


def test_the_licence_is_there():
    assert "Apache License" in (ROOT / "LICENSE").read_text()
