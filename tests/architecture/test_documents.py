"""What the documents promise is so."""

import re

import pytest

from perdure.cli import main
from tests.architecture.sources import PACKAGE, ROOT, tracked
from tests.architecture.tables import TABLES, renewed

LIMITS = {"README.md": 120, "ARCHITECTURE.md": 200, "CONTRIBUTING.md": 120}


@pytest.mark.parametrize(("document", "table"), TABLES)
def test_tables_are_as_the_code_has_them(document, table):
    text = (ROOT / document).read_text()
    assert renewed(text, table, TABLES[document, table]()) == text, "run `make fmt`"


@pytest.mark.parametrize("document", LIMITS)
def test_documents_stay_short(document):
    assert len((ROOT / document).read_text().splitlines()) <= LIMITS[document]


def test_the_tree_equals_the_disk():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"## Code map\n\n```\n(.*?)```", text, re.DOTALL)
    assert block
    named: set[str] = set()
    parents: list[str] = []
    for line in block[1].splitlines():
        found = re.match(r"( *)(\S+?)(/?)(?:  |$)", line)
        assert found, line
        depth = len(found[1]) // 2
        parents[depth:] = [found[2]]
        path = "/".join(parents)
        assert (ROOT / path).is_dir() == bool(found[3]), f"{path} is not on the disk as the tree says"
        assert (ROOT / path).exists(), path
        named.add(path)
    on_disk = {str(path.parent.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")} - {"src/perdure"}
    on_disk |= {str(path.relative_to(ROOT)) for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    on_disk |= {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in tracked() if is_test_folder(path)}
    assert on_disk <= named, on_disk - named


def is_test_folder(path) -> bool:
    return path.is_relative_to(ROOT / "tests") and len(path.relative_to(ROOT / "tests").parts) > 1


def test_every_decision_is_in_the_index_and_short():
    index = (ROOT / "docs/adr/README.md").read_text()
    records = sorted((ROOT / "docs/adr").glob("0*.md"))
    assert records
    for number, record in enumerate(records, start=1):
        text = record.read_text()
        title = text.splitlines()[0].removeprefix(f"# {number}. ")
        assert f"| {number} | [{title}]({record.name}) |" in index, record.name
        assert len(text.splitlines()) <= 50, record.name
        for heading in ("## Context", "## Decision", "## Consequences", "## Alternatives", "## Enforced by"):
            assert heading in text, f"{record.name} has no {heading}"


def test_every_command_is_described():
    text = (ROOT / "docs/operate.md").read_text()
    parser = main.build(whole=True)
    for command in commands(parser):
        assert f"| `{command}" in text, f"docs/operate.md has no row for `{command}`"


def commands(parser, prefix="perdure"):
    actions = [action for action in parser._actions if hasattr(action, "choices") and isinstance(action.choices, dict)]
    if not actions:
        yield prefix
    for action in actions:
        for name, part in action.choices.items():
            yield from commands(part, f"{prefix} {name}")


def test_links_lead_somewhere():
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} -> {target}"
