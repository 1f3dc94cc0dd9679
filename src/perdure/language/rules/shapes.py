"""Walks a document along the grammar: shapes, types, required and unknown keys, and what the other rules need.

The task's kind is chosen by its key and the task checked against that kind only (language.md 4.2).
"""

from collections.abc import Callable as Function
from typing import Any

from perdure.language.durations import milliseconds
from perdure.language.grammar import kinds
from perdure.language.grammar.table import BUILT_IN_CALLS, NOT_SUPPORTED_YET, SHAPES
from perdure.language.grammar.tasks import CAUGHT, COMMON, TASK_KINDS
from perdure.language.rules.hints import keys_of, kind_for, place_for
from perdure.language.rules.report import Report, below, listed, nearest, shown
from perdure.language.rules.scalars import (
    SCALARS,
    TYPE_NAMES,
    described,
    expect,
    is_variable,
    matches,
    template_hint,
    type_of,
)
from perdure.language.rules.survey import Call, Named, Scope, Site, Survey, TaskEntry, TaskList
from perdure.language.templates import whole
from perdure.language.values import Json

_NO_MERGES = "YAML 1.2 has no merge keys; write the keys out, or use an alias for a whole value."
_LOOPS = {"for-what": "each", "each-event": "item"}


class Walk:
    """One walk over one document."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.survey = Survey()

    def document(self, value: Json) -> Survey:
        """Walks the whole document."""
        self.object("workflow", value, "", Scope("task-body"))
        _bind_policies(self.survey)
        _bind_timeouts(self.survey)
        return self.survey

    def value(self, kind: kinds.Kind, value: Json, pointer: str, scope: Scope) -> None:
        """Walks a value of a kind."""
        scalar = SCALARS.get(type(kind))
        if scalar is None:
            _WALKERS[type(kind)](self, kind, value, pointer, scope)
            return
        scalar(kind, value, pointer, self.report)

    def object(self, name: str, value: Json, pointer: str, scope: Scope) -> None:
        """Walks an object of a shape."""
        if expect(self.report, "object", value, pointer, keys_of(kinds.Object(name))):
            self.fields(SHAPES[name], value, pointer, scope)

    def fields(self, shape: kinds.Shape, value: dict[str, Json], pointer: str, scope: Scope) -> None:
        """Walks the keys of an object, then checks which of them there must and may be."""
        for key, item in value.items():
            where = below(pointer, key)
            field = shape.fields.get(key)
            if field is not None:
                self.value(field.kind, item, where, _inside(field, value, scope))
            elif shape.extra is not None and matches(shape.extra_keys or ".*", key):
                self.value(shape.extra, item, where, scope)
                self._attribute_spelling(key, shape, where)
            else:
                self._unknown_key(key, shape, where)
        self._presence(shape, value, pointer)

    def _unknown_key(self, key: str, shape: kinds.Shape, where: str) -> None:
        if key == "<<":
            self.report.error("unknown-key", where, "The merge key '<<' is not supported.", _NO_MERGES, at_key=True)
            return
        hint_ = place_for(key, shape) or nearest(key, shape.fields) or f"It may have {listed(shape.fields)}."
        if shape.extra is not None:
            hint_ = nearest(key, shape.fields) or "Extension attributes are lower-case letters and digits."
        self.report.error("unknown-key", where, f"The key '{shown(key)}' does not belong here.", hint_, at_key=True)

    def _attribute_spelling(self, key: str, shape: kinds.Shape, where: str) -> None:
        hint = nearest(key, [known for known in shape.fields if abs(len(known) - len(key)) < 3 and len(key) > 3])
        if hint is not None:
            message = f"'{key}' is read as an extension attribute of the event."
            self.report.lint("attribute-spelling", where, message, hint)

    def _presence(self, shape: kinds.Shape, value: dict[str, Json], pointer: str) -> None:
        report = self.report
        alone = next((key for key, field in shape.fields.items() if field.alone and key in value), None)
        if alone is not None:
            others = [key for key in value if key != alone]
            if others:
                message = f"'{alone}' stands alone; {listed(others)} does not belong beside it."
                report.error("alone", below(pointer, alone), message, "Remove one or the other.", at_key=True)
            return
        for key, field in shape.fields.items():
            if field.required and key not in value:
                report.error("missing-key", pointer, f"The key '{key}' is missing here: {field.doc}", at_key=True)
        for group in shape.one_of:
            self._one_of(group, value, pointer)
        if shape.some_of and not any(key in value for key in shape.some_of):
            report.error("missing-key", pointer, f"One of {listed(shape.some_of)} is needed here.", at_key=True)
        for key, other in shape.together:
            if key in value and other not in value:
                message = f"'{key}' has a meaning only together with '{other}'."
                report.error("conflict", below(pointer, key), message, f"Add '{other}', or remove it.", at_key=True)
        if len(value) < shape.minimum:
            report.error("empty", pointer, "At least one key is needed here.", f"It may have {listed(shape.fields)}.")

    def _one_of(self, group: tuple[str, ...], value: dict[str, Json], pointer: str) -> None:
        present = [key for key in value if key in group]
        if not present:
            self.report.error("missing-key", pointer, f"One of {listed(group)} is needed here.", at_key=True)
        for extra in present[1:]:
            message = f"'{extra}' and '{present[0]}' exclude each other."
            self.report.error("conflict", below(pointer, extra), message, "Keep one of them.", at_key=True)

    # -- kinds --------------------------------------------------------------------------------------------------------

    def _anything(self, _kind: kinds.Anything, _value: Json, _pointer: str, _scope: Scope) -> None:
        pass

    def _expression(self, _kind: kinds.Expression, value: Json, pointer: str, scope: Scope) -> None:
        hint = f"Write it as a text: '{str(value).lower()}'." if isinstance(value, bool) else None
        if expect(self.report, "text", value, pointer, hint):
            self.survey.sites.append(Site("field", value, pointer, scope))

    def _wrapped(self, _kind: kinds.Wrapped, value: Json, pointer: str, scope: Scope) -> None:
        if expect(self.report, "text", value, pointer):
            self.survey.sites.append(Site("wrapped", value, pointer, scope))

    def _template(self, kind: kinds.Template, value: Json, pointer: str, scope: Scope) -> None:
        if kind.takes and type_of(value) not in kind.takes:
            names = [TYPE_NAMES[name] for name in kind.takes]
            expected = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
            message = f"{expected.capitalize()} is expected, not {described(value)}."
            self.report.error("wrong-type", pointer, message, template_hint(kind, value, pointer))
            return
        if kind.pattern is not None and "${" not in value and not matches(kind.pattern, value):
            self.report.error("bad-text", pointer, f"'{shown(value)}' is not {kind.says}.")
        self.texts(value, pointer, scope)

    def texts(self, value: Json, pointer: str, scope: Scope) -> None:
        """Notes every text of a template."""
        if isinstance(value, str):
            self.survey.sites.append(Site("template", value, pointer, scope))
        elif isinstance(value, dict):
            for key, item in value.items():
                self.texts(item, below(pointer, key), scope)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.texts(item, f"{pointer}/{index}", scope)

    def _text_value(self, _kind: kinds.TextValue, value: Json, pointer: str, scope: Scope) -> None:
        if isinstance(value, bool | int | float):
            spelling = str(value).lower()
            message = f"{spelling} is not a text; it is sent as '{spelling}'."
            self.report.lint("number-as-text", pointer, message, f'Write "{spelling}".', at_key=False)
        elif expect(self.report, "text", value, pointer):
            self.survey.sites.append(Site("template", value, pointer, scope))

    def _uri(self, kind: kinds.Uri, value: Json, pointer: str, scope: Scope) -> None:
        if expect(self.report, "text", value, pointer):
            form = "uri" if kind.expression else "uri-template" if kind.template else "fixed-uri"
            self.survey.sites.append(Site(form, value, pointer, scope))

    def _duration(self, _kind: kinds.Duration, value: Json, pointer: str, scope: Scope) -> None:
        if isinstance(value, str):
            self.survey.sites.append(Site("duration", value, pointer, scope))
        elif isinstance(value, dict):
            self.object("duration", value, pointer, scope)
        else:
            hint = "Write for example { seconds: 30 } or PT30S."
            self.report.error("wrong-type", pointer, f"A duration is expected, not {described(value)}.", hint)

    def _json_schema(self, _kind: kinds.JsonSchema, value: Json, pointer: str, _scope: Scope) -> None:
        if isinstance(value, dict | bool):
            self.survey.schemas.append((value, pointer))
        else:
            self.report.error("wrong-type", pointer, f"A JSON Schema is an object, not {described(value)}.")

    def _cron(self, _kind: kinds.Cron, value: Json, pointer: str, _scope: Scope) -> None:
        if expect(self.report, "text", value, pointer):
            self.survey.crons.append((value, pointer))

    def _reference(self, kind: kinds.Reference, value: Json, pointer: str, _scope: Scope) -> None:
        if expect(self.report, "text", value, pointer):
            self.survey.names.append(Named(kind.table, value, pointer))

    def _target(self, _kind: kinds.Target, value: Json, pointer: str, _scope: Scope) -> None:
        expect(self.report, "text", value, pointer)

    def _metadata(self, kind: kinds.Metadata, value: Json, pointer: str, scope: Scope) -> None:
        if not expect(self.report, "object", value, pointer) or not kind.of_task:
            return
        if "compensate" in value:
            inside = Scope("task-body", frozenset({"input", "output"}))
            self.single(value["compensate"], below(pointer, "compensate"), inside)
        if "saga" in value:
            self.value(kinds.Flag(), value["saga"], below(pointer, "saga"), scope)
        if "compete" in value:
            self.value(kinds.Choice(("any",)), value["compete"], below(pointer, "compete"), scope)

    def _object(self, kind: kinds.Object, value: Json, pointer: str, scope: Scope) -> None:
        self.object(kind.shape, value, pointer, scope)
        if kind.shape in ("for-what", "each-event") and isinstance(value, dict):
            self._two_variables(_LOOPS[kind.shape], value, pointer)
        if kind.shape == "jitter" and isinstance(value, dict):
            low, high = (_fixed_duration(value.get(key)) for key in ("from", "to"))
            if low is not None and high is not None and low > high:
                message = "The jitter ends before it begins: 'to' is less than 'from'."
                self.report.error("out-of-range", below(pointer, "to"), message, "Swap them.", at_key=True)
        if kind.shape in ("oauth2", "oidc") and isinstance(value, dict) and "grant" in value:
            self.survey.grants.append((value["grant"], below(pointer, "grant")))
        if kind.shape == "event-match" and isinstance(value, dict):
            self._conditions(value, pointer)
        if kind.shape == "catch" and isinstance(value, dict) and isinstance(value.get("retry"), str):
            self.survey.caught.append((value["retry"], _bound(CAUGHT[0], value)))

    def _two_variables(self, item_key: str, loop: dict[str, Json], pointer: str) -> None:
        """T12: the item and its index are two variables."""
        item = loop.get(item_key, "item")
        if item == loop.get("at", "index"):
            message = f"The item and its index would both be ${shown(item)}."
            place = below(pointer, "at" if "at" in loop else item_key)
            self.report.error("duplicate-name", place, message, "Give one of them another name.", at_key=True)

    def _conditions(self, match: dict[str, Json], pointer: str) -> None:
        """T15: a condition is the whole value of an attribute; inside an object it would be compared as text."""
        pending: list[tuple[Json, str]] = [
            (value, below(pointer, key)) for key, value in match.items() if isinstance(value, dict | list)
        ]
        for value, where in pending:
            if isinstance(value, str) and whole(value) is not None:
                message = "Inside an object an expression is no condition; it would be compared as text."
                hint = "Write one condition on the whole attribute, for example data: ${ .amount > 10 }."
                self.report.error("fixed-text", where, message, hint, at_key=False)
            elif isinstance(value, dict):
                pending.extend((item, below(where, key)) for key, item in value.items())
            elif isinstance(value, list):
                pending.extend((item, f"{where}/{index}") for index, item in enumerate(value))

    def _items(self, kind: kinds.Items, value: Json, pointer: str, scope: Scope) -> None:
        if expect(self.report, "list", value, pointer):
            for index, item in enumerate(value):
                self.value(kind.item, item, f"{pointer}/{index}", scope)

    def _entries(self, kind: kinds.Entries, value: Json, pointer: str, scope: Scope) -> None:
        if not expect(self.report, "object", value, pointer):
            return
        if len(value) < kind.minimum:
            self.report.error("empty", pointer, "At least one entry is needed here.", at_key=True)
        for key, item in value.items():
            self.value(kind.value, item, below(pointer, key), scope)

    def _steps(self, kind: kinds.Steps, value: Json, pointer: str, scope: Scope) -> None:
        if not expect(self.report, "list", value, pointer):
            return
        if len(value) < kind.minimum:
            self.report.error("empty", pointer, f"At least one {kind.what} is needed here.", at_key=True)
        for index, item in enumerate(value):
            for name, inner in self.named(item, f"{pointer}/{index}", kind.what):
                self.value(kind.value, inner, below(f"{pointer}/{index}", name), scope)

    def _either(self, kind: kinds.Either, value: Json, pointer: str, scope: Scope) -> None:
        found = type_of(value)
        chosen: kinds.Kind | None = getattr(kind, found, None)
        if chosen is not None:
            self.value(chosen, value, pointer, scope)
            return
        allowed = [name for name in ("object", "list", "text", "boolean") if getattr(kind, name) is not None]
        expected = " or ".join(TYPE_NAMES[name] for name in allowed)
        message = f"{expected.capitalize()} is expected, not {described(value)}."
        self.report.error("wrong-type", pointer, message, keys_of(kind))

    # -- tasks --------------------------------------------------------------------------------------------------------

    def named(self, item: Json, pointer: str, what: str) -> list[tuple[str, Json]]:
        """The name and the content of a list's entry; nothing, and a finding, when it is not one."""
        if not isinstance(item, dict):
            self.report.error("wrong-type", pointer, f"'name: {what}' is expected, not {described(item)}.")
            return []
        if len(item) == 1:
            return list(item.items())
        if not item:
            self.report.error("empty", pointer, f"'name: {what}' is expected.")
            return []
        hint = "Indent what belongs to it deeper than its name, and begin each with '- '."
        message = f"An entry is one {what} under its name; here stand {len(item)} keys: {', '.join(list(item)[:4])}."
        self.report.error("conflict", pointer, message, hint)
        return []

    def _tasks(self, kind: kinds.Tasks, value: Json, pointer: str, scope: Scope) -> None:
        hint = "Begin each task with '- '." if isinstance(value, dict) else None
        if not expect(self.report, "list", value, pointer, hint):
            return
        what = "branch" if kind.branches else "task"
        if not value:
            self.report.error("empty", pointer, f"At least one {what} is needed here.", at_key=True)
        inside = Scope("task-body", scope.variables, scope.in_branch or kind.branches)
        entries: list[TaskEntry] = []
        self.survey.lists.append(TaskList(pointer, entries, kind.branches))
        for index, item in enumerate(value):
            for name, task in self.named(item, f"{pointer}/{index}", what):
                where = below(f"{pointer}/{index}", name)
                entries.append(self.task(name, task, where, inside))

    def single(self, value: Json, pointer: str, scope: Scope) -> None:
        """Walks a task that stands in no list."""
        self.survey.singles.append(self.task("", value, pointer, scope))

    def _task(self, _kind: kinds.Task, value: Json, pointer: str, _scope: Scope) -> None:
        self.single(value, pointer, Scope("task-body"))

    def task(self, name: str, value: Json, pointer: str, scope: Scope) -> TaskEntry:
        """Walks one task."""
        if not expect(self.report, "object", value, pointer):
            return TaskEntry(name, {}, None, pointer)
        kind = self._kind_of(value, pointer)
        if kind is None:
            for key in [key for key in value if key in COMMON]:
                field = COMMON[key]
                self.value(field.kind, value[key], below(pointer, key), _inside(field, value, scope))
            return TaskEntry(name, value, None, pointer)
        self.fields(SHAPES[kind], value, pointer, scope)
        if "export" in value:
            self.survey.exports.append((below(pointer, "export"), scope))
        if kind == "run" and isinstance(value["run"], dict):
            for key in value["run"]:
                self._later(f"run: {key}", below(f"{pointer}/run", key))
        if kind == "call":
            self._call(value, pointer, scope)
        self._metadata_place(kind, value, pointer)
        return TaskEntry(name, value, kind, pointer)

    def _kind_of(self, task: dict[str, Json], pointer: str) -> str | None:
        found = [kind for kind in TASK_KINDS if kind in task]
        if not found:
            unknown = [key for key in task if key not in COMMON]
            near = next(filter(None, (kind_for(key) or nearest(key, TASK_KINDS) for key in unknown)), None)
            hint = _NO_MERGES if "<<" in unknown else near
            self.report.error("task-kind", pointer, f"A task needs one of {listed(TASK_KINDS)}.", hint, at_key=True)
            return None
        belongs = ["for", "do"] if found[0] == "for" else found[:1]
        for extra in [kind for kind in found if kind not in belongs]:
            message = f"A task is one thing: '{found[0]}' and '{extra}' exclude each other."
            self.report.error("task-kind", below(pointer, extra), message, "Make two tasks of them.", at_key=True)
        return None if len(found) > len(belongs) else found[0]

    def _metadata_place(self, kind: str, task: dict[str, Json], pointer: str) -> None:
        metadata = task.get("metadata")
        if not isinstance(metadata, dict):
            return
        for key, owners in (("saga", ("do", "try")), ("compete", ("fork",))):
            if key in metadata and kind not in owners:
                message = f"'{key}' has a meaning only on {listed(owners)}."
                self.report.lint("metadata-place", f"{pointer}/metadata/{key}", message)
            elif key == "compete" and metadata.get(key) == "any" and not _competes(task):
                message = "'compete' has a meaning only with compete: true on the fork itself."
                self.report.lint("metadata-place", f"{pointer}/metadata/{key}", message)

    def _later(self, name: str, pointer: str) -> None:
        if name in NOT_SUPPORTED_YET:
            message = f"'{name}' is not supported yet by this version of Perdure."
            self.report.error("not-supported-yet", pointer, message, at_key=True)

    def _call(self, task: dict[str, Json], pointer: str, scope: Scope) -> None:
        name = task["call"]
        where = below(pointer, "with")
        if name in BUILT_IN_CALLS:
            self._later(f"call: {name}", f"{pointer}/call")
            if "with" in task:
                self.object(f"call-{name}", task["with"], where, scope)
            else:
                self.report.error(
                    "missing-key", pointer, f"The key 'with' is missing: what to call {name} with.", at_key=True
                )
            return
        if isinstance(name, str):
            self.survey.calls.append(Call(name, task, pointer))
        if "with" in task:
            hint = "Write a map, for example { input: ... }; its values may be expressions."
            if expect(self.report, "object", task["with"], where, hint):
                self.texts(task["with"], where, scope)

    def _callable(self, _kind: kinds.Callable, value: Json, pointer: str, _scope: Scope) -> None:
        if expect(self.report, "text", value, pointer) and "${" in value:
            self.report.error("fixed-text", pointer, "What is called is a fixed text, not an expression.")


_WALKERS: dict[type, Function[[Walk, Any, Json, str, Scope], None]] = {
    kinds.Anything: Walk._anything,
    kinds.Expression: Walk._expression,
    kinds.Wrapped: Walk._wrapped,
    kinds.Template: Walk._template,
    kinds.TextValue: Walk._text_value,
    kinds.Uri: Walk._uri,
    kinds.Duration: Walk._duration,
    kinds.JsonSchema: Walk._json_schema,
    kinds.Cron: Walk._cron,
    kinds.Reference: Walk._reference,
    kinds.Target: Walk._target,
    kinds.Callable: Walk._callable,
    kinds.Arguments: Walk._anything,
    kinds.Task: Walk._task,
    kinds.Tasks: Walk._tasks,
    kinds.Metadata: Walk._metadata,
    kinds.Object: Walk._object,
    kinds.Items: Walk._items,
    kinds.Entries: Walk._entries,
    kinds.Steps: Walk._steps,
    kinds.Either: Walk._either,
}


def _inside(field: kinds.Field, owner: dict[str, Json], scope: Scope) -> Scope:
    """The scope of a field's value: its row, and the variables that its owner binds for it."""
    if field.row is None and not field.binds:
        return scope
    variables = scope.variables.union(_bound(bind, owner) for bind in field.binds)
    return Scope(field.row or scope.row, variables, scope.in_branch)


def _bound(bind: kinds.Bind, owner: dict[str, Json]) -> str:
    found: Json = owner
    for key in bind.path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if is_variable(found) else bind.default


def _fixed_duration(value: Json) -> int | None:
    """Milliseconds; None for what is known at run time only, or is wrong and reported elsewhere."""
    try:
        return milliseconds(value)
    except ValueError:
        return None


def _competes(task: dict[str, Json]) -> bool:
    fork = task["fork"]
    return isinstance(fork, dict) and fork.get("compete") is True


def _bind_timeouts(survey: Survey) -> None:
    """A timeout of use.timeouts that limits the workflow too uses only what is offered there (1.1)."""
    prefixes = [
        below("/use/timeouts", name) + "/"
        for table, name, pointer in survey.names
        if table == "timeouts" and pointer == "/timeout"
    ]
    for index, site in enumerate(survey.sites):
        if any(site.pointer.startswith(prefix) for prefix in prefixes):
            survey.sites[index] = site._replace(scope=Scope("workflow-input"))


def _bind_policies(survey: Survey) -> None:
    """A policy of use.retries sees the error under the names of the catches that use it, if they agree (T21)."""
    names: dict[str, frozenset[str]] = {}
    for policy, variable in survey.caught:
        prefix = below("/use/retries", policy) + "/"
        names[prefix] = names.get(prefix, frozenset({variable})) & {variable}
    for index, site in enumerate(survey.sites):
        if site.pointer.startswith("/use/retries/"):
            prefix = "/".join(site.pointer.split("/")[:4]) + "/"
            scope = Scope(site.scope.row, names.get(prefix, site.scope.variables))
            survey.sites[index] = site._replace(scope=scope)
