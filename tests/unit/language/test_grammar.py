"""The grammar: complete, closed in itself, and described in full."""

import re

import msgspec
import pytest

from perdure.language.grammar import kinds
from perdure.language.grammar.table import ARGUMENTS, BUILT_IN_CALLS, NOT_SUPPORTED_YET, SHAPES
from perdure.language.grammar.tasks import COMMON, TASK_KINDS

ROWS = [f"A{n}" for n in range(1, 7)] + [f"B{n}" for n in range(1, 27)] + [f"C{n}" for n in range(1, 5)]
ROWS += ["E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10"]


def fields():
    for name, shape in SHAPES.items():
        for key, field in shape.fields.items():
            yield name, key, field


def inside(kind):
    yield kind
    for name in kind.__struct_fields__:
        value = getattr(kind, name)
        if isinstance(value, kinds.Record):
            yield from inside(value)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_checklist_has_a_field(row):
    refs = ", ".join(field.ref for _, _, field in fields())
    ranges = {f"B{n}" for low, high in re.findall(r"B(\d+)-B(\d+)", refs) for n in range(int(low), int(high) + 1)}
    assert row in set(re.findall(r"[A-E]\d+", refs)) | ranges


def test_every_object_has_its_shape_and_every_shape_its_place():
    used = {kind.shape for _, _, field in fields() for kind in inside(field.kind) if isinstance(kind, kinds.Object)}
    found_otherwise = {"workflow", "duration", *TASK_KINDS, *(f"call-{name}" for name in BUILT_IN_CALLS)}
    assert used | found_otherwise == set(SHAPES)


def test_rules_of_shapes_speak_of_their_own_keys():
    for name, shape in SHAPES.items():
        groups = [*shape.one_of, shape.some_of, *shape.together]
        assert {key for group in groups for key in group} <= set(shape.fields), name


def test_every_field_is_described_in_a_sentence():
    for name, key, field in fields():
        assert field.doc.endswith("."), (name, key)
        assert field.ref, (name, key)


def test_every_task_has_the_common_keys():
    for kind in TASK_KINDS:
        assert set(COMMON) < set(SHAPES[kind].fields)


def test_rows_of_arguments_are_those_of_fields():
    assert {field.row for _, _, field in fields() if field.row} <= set(ARGUMENTS)
    assert set(kinds.Row.__args__) == set(ARGUMENTS)


def test_what_is_not_supported_yet_exists():
    for name in NOT_SUPPORTED_YET:
        verb, what = name.split(": ")
        assert what in BUILT_IN_CALLS if verb == "call" else what in SHAPES["run-what"].fields


def test_the_grammar_cannot_be_changed():
    with pytest.raises(AttributeError):
        SHAPES["document"].doc = ""
    assert issubclass(kinds.Shape, msgspec.Struct)
