"""Makes documents from the grammar table: right in shape, with every key of every shape sooner or later."""

import random
from typing import Any

from perdure.language.grammar import kinds
from perdure.language.grammar.table import BUILT_IN_CALLS, SHAPES
from perdure.language.grammar.tasks import TASK_KINDS

_DEEPEST = 7
_TEXTS = {
    kinds.NAME_PATTERN: "a-name",
    kinds.VERSION_PATTERN: "1.0.0",
    kinds.DSL_PATTERN: "1.0.3",
    f"latest|{kinds.VERSION_PATTERN}": "latest",
    r"json(?::.+)?": "json",
}


class Generator:
    """One document a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0

    def document(self) -> Any:
        return self._object("workflow", 0)

    def _object(self, name: str, depth: int) -> dict[str, Any]:
        shape = SHAPES[name]
        keys = self._keys(shape, depth)
        made = {key: self._value(shape.fields[key].kind, depth + 1) for key in keys}
        if name == "call":
            called = self._random.choice([*BUILT_IN_CALLS, "own"])
            made["call"] = called
            made["with"] = {"a": 1} if called == "own" else self._object(f"call-{called}", depth + 1)
        if name == "lifetime":
            made = {"cleanup": "eventually", "after": "PT1S"}
        return made

    def _keys(self, shape: kinds.Shape, depth: int) -> list[str]:
        """The keys of one object: all that are needed, and some that are not, in the order of the table."""
        alone = [key for key, field in shape.fields.items() if field.alone]
        if alone and self._random.random() < 0.3:
            return alone
        some = 0.0 if depth > _DEEPEST else 0.4
        chosen = {key for key, field in shape.fields.items() if field.required or self._random.random() < some}
        chosen -= set(alone)
        for group in shape.one_of:
            chosen -= set(group)
            chosen.add(self._random.choice([key for key in group if key not in alone]))
        chosen |= set(shape.some_of[:1])
        chosen -= {key for key, other in shape.together if other not in chosen}
        if len(chosen) < shape.minimum:
            chosen.add(next(iter(shape.fields)))
        return [key for key in shape.fields if key in chosen]

    def _value(self, kind: kinds.Kind, depth: int) -> Any:  # one branch a kind
        match kind:
            case kinds.Object(shape):
                return self._object(shape, depth)
            case kinds.Either(text, object_, list_):
                given = [option for option in (text, object_, list_) if option is not None]
                return self._value(given[0] if depth > _DEEPEST else self._random.choice(given), depth)
            case kinds.Items(item, _):
                return [self._value(item, depth + 1)]
            case kinds.Entries(value, _):
                return {"a": self._value(value, depth + 1)}
            case kinds.Steps(value, _, _):
                return [{self._name(): self._value(value, depth + 1)}]
            case kinds.Tasks():
                return [{self._name(): self._task(depth + 1)} for _ in range(self._random.choice([1, 1, 2]))]
            case kinds.Task():
                return self._task(depth)
            case kinds.Metadata(of_task):
                return {"compensate": self._task(depth + 1)} if of_task and depth < _DEEPEST else {"free": [1]}
            case kinds.Template(takes, _, says):
                return "/do/0" if "pointer" in says else "2026-01-31T12:00:00Z" if "date" in says else self._any(takes)
            case kinds.Text(pattern):
                return _TEXTS[pattern] if pattern else "a text"
            case kinds.Choice(values):
                return self._random.choice(values)
            case kinds.Uri(_, False):
                return "https://example.com/fixed"
            case kinds.Whole(minimum, _):
                return self._random.choice([minimum or 0, 5])
            case _:
                return _VALUES[type(kind)]

    def _task(self, depth: int) -> dict[str, Any]:
        return self._object("wait" if depth > _DEEPEST else self._random.choice(TASK_KINDS), depth)

    def _name(self) -> str:
        self._names += 1
        return f"name{self._names}"

    def _any(self, takes: tuple[str, ...]) -> Any:
        return {"a": ["${ .a }", 1]} if "object" in takes or not takes else "text"


_VALUES: dict[type, Any] = {
    kinds.Anything: {"any": [1, None]},
    kinds.Name: "token",
    kinds.Flag: True,
    kinds.Number: 1.5,
    kinds.Expression: ".a",
    kinds.Wrapped: "${ .a }",
    kinds.TextValue: "text",
    kinds.Uri: "https://example.com/{id}",
    kinds.Duration: "PT1S",
    kinds.JsonSchema: {"type": "object"},
    kinds.Cron: "0 0 * * *",
    kinds.Variable: "pet",
    kinds.Reference: "token",
    kinds.Target: "continue",
    kinds.Callable: "own",
    kinds.Arguments: {},
}
