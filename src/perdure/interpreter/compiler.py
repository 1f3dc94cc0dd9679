"""From a document to its program: one node a task, every expression parsed, every name of `use` resolved (6.1).

What a task kind holds is compiled by its module in `tasks/`; here are the parts that all kinds share. A document that
never passed its check ends as `Invalid`, whatever is wrong with it.
"""

from collections.abc import Mapping
from typing import Any

from perdure.interpreter.program import (
    CONTINUE,
    END,
    EXIT,
    Extension,
    Functions,
    Node,
    Program,
    Site,
    invalid,
)
from perdure.language.durations import milliseconds
from perdure.language.expressions import ExpressionFault
from perdure.language.schemas import Schema
from perdure.language.templates import compile_field, compile_template, whole
from perdure.language.values import Json

_WORKFLOW = {"workflow": "workflow", "runtime": "runtime", "secrets": "secrets"}
_ENTRY = {**_WORKFLOW, "context": "context", "task": "task"}
_BODY = {**_ENTRY, "input": "input", "authorization": "authorization"}
_AS = {**_BODY, "output": "output"}
_EXPORT = {**_BODY, "output": "transformed"}

ARGUMENTS: dict[str, dict[str, str]] = {
    "workflow.input": {**_WORKFLOW},
    "workflow.output": {**_WORKFLOW, "context": "context"},
    "entry": _ENTRY,
    "body": _BODY,
    "output": _AS,
    "export": _EXPORT,
    "event": {},
}
"""Table 1.1: at each kind of place, the arguments offered, and which source of `dataflow.SOURCES` each is."""

_DIRECTIVES = {"continue": CONTINUE, "exit": EXIT, "end": END}
_EXTENDED_AS = {"do": "composite", "fork": "composite"}
KEYS = ("call", "do", "emit", "fork", "for", "listen", "raise", "run", "set", "switch", "try", "wait")


def escape(name: str) -> str:
    """A name as one part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


class Surroundings:
    """Where a task stands in the text: the variables that reach it, and what is special there."""

    __slots__ = ("in_extension", "in_handler", "variables")

    def __init__(
        self, variables: frozenset[str] = frozenset(), *, in_extension: bool = False, in_handler: bool = False
    ) -> None:
        self.variables = variables
        self.in_extension = in_extension
        self.in_handler = in_handler

    def adding(self, *names: str) -> "Surroundings":
        return Surroundings(
            self.variables | frozenset(names), in_extension=self.in_extension, in_handler=self.in_handler
        )


class Builder:
    """Compiles one document. `kinds` maps the key of a task kind to its module in `tasks/`."""

    def __init__(self, program: Program, kinds: Mapping[str, Any], functions: Functions | None) -> None:
        self.program = program
        self.kinds = kinds
        self.functions = functions
        use = program.document.get("use") or {}
        self.use: dict[str, Any] = use
        self.mode = (program.document.get("evaluate") or {}).get("mode", "strict")
        self.called: dict[str, Node] = {}
        self.pending: list[tuple[str, dict[str, Any]]] = []

    def workflow(self) -> Node:
        """The node of the workflow itself, and with it all others."""
        document = self.program.document
        root = Node("", "workflow", self.program.name, document)
        root.is_task = False
        root.behaviour = self.kinds["workflow"]
        self.program.nodes[""] = root
        nowhere = Surroundings()
        section = document.get("input") or {}
        root.input_schema = self.schema(section.get("schema"), "/input/schema")
        root.input_from = self.transformation(section.get("from"), "workflow.input", nowhere, "/input/from")
        section = document.get("output") or {}
        root.output_as = self.transformation(section.get("as"), "workflow.output", nowhere, "/output/as")
        root.output_schema = self.schema(section.get("schema"), "/output/schema")
        root.after = self.limit(document.get("timeout"), "workflow.input", nowhere, "/timeout")
        root.is_saga = True
        self.tasks(document["do"], "/do", nowhere)
        self._called_functions()
        return root

    def _called_functions(self) -> None:
        """Functions compile after their callers, so that they may call one another."""
        while self.pending:
            pointer, definition = self.pending.pop()
            node = self.called[pointer]
            self._fill(node, definition, Surroundings(), None)
            self.program.lists[pointer] = (node,)

    def function(self, pointer: str, name: str, definition: dict[str, Any]) -> str:
        """The list of one task that a function is; compiled once, however often it is called."""
        if pointer not in self.called:
            node = self.called[pointer] = self.program.nodes[pointer] = Node(
                pointer, self.kind_of(definition, pointer), name, definition
            )
            node.step = "/function"
            self.pending.append((pointer, definition))
        return pointer

    # Lists and tasks

    def tasks(self, items: Any, pointer: str, around: Surroundings, *, jumps: bool = True) -> str:
        """Compile a list of one-key maps; its name in `Program.lists` is its pointer."""
        if not isinstance(items, list):
            raise invalid(pointer, "a list of tasks is expected.")
        pairs: list[tuple[str, dict[str, Any]]] = []
        for index, item in enumerate(items):
            if not isinstance(item, dict) or len(item) != 1:
                raise invalid(f"{pointer}/{index}", "one name with one task is expected.")
            pairs.extend(item.items())
        targets = {name: index for index, (name, _task) in enumerate(pairs)} if jumps else {}
        nodes = []
        for index, (name, definition) in enumerate(pairs):
            step = f"/{index}/{escape(name)}"
            node = Node(pointer + step, self.kind_of(definition, pointer + step), name, definition)
            node.step = step
            node.index = index
            self.program.nodes[node.pointer] = node
            self._fill(node, definition, around, targets)
            nodes.append(node)
        if any(0 <= target <= node.index for node in nodes for target in _targets(node)):
            for node in nodes:
                node.looped = True
        self.program.lists[pointer] = tuple(nodes)
        return pointer

    def kind_of(self, definition: Any, pointer: str) -> str:
        if isinstance(definition, dict):
            for key in ("for", *KEYS):  # a `for` task has a `do` as well
                if key in definition:
                    return key
        raise invalid(pointer, "this is none of the twelve kinds of tasks.")

    def _fill(
        self, node: Node, definition: dict[str, Any], around: Surroundings, targets: dict[str, int] | None
    ) -> None:
        """Compile what all kinds share, then what is the kind's own."""
        pointer = node.pointer
        node.behaviour = self.kinds[node.kind]
        if definition.get("if") is not None:
            node.if_ = self.field(definition["if"], "entry", around, pointer + "/if")
        section = definition.get("input") or {}
        node.input_schema = self.schema(section.get("schema"), pointer + "/input/schema")
        node.input_from = self.transformation(section.get("from"), "entry", around, pointer + "/input/from")
        section = definition.get("output") or {}
        node.output_as = self.transformation(section.get("as"), "output", around, pointer + "/output/as")
        node.output_schema = self.schema(section.get("schema"), pointer + "/output/schema")
        section = definition.get("export") or {}
        node.export_as = self.transformation(section.get("as"), "export", around, pointer + "/export/as")
        node.export_schema = self.schema(section.get("schema"), pointer + "/export/schema")
        node.after = self.limit(definition.get("timeout"), "body", around, pointer + "/timeout")
        node.then = self.directive(definition.get("then"), targets, pointer)
        metadata = definition.get("metadata") or {}
        node.is_saga = metadata.get("saga") is True and node.kind in ("do", "try")
        if isinstance(metadata.get("compensate"), dict):
            node.compensate = self._handler(node, metadata["compensate"], around)
        if not around.in_extension:
            node.extensions = self._extensions(node)
            self.program.lists[pointer + "/extended"] = (node,)
        node.behaviour.compile(self, node, around, targets)
        node.is_plain = not (
            node.if_ or node.input_schema or node.input_from or node.output_as or node.output_schema
            or node.export_as or node.export_schema or node.after or node.extensions or node.compensate
        )  # fmt: skip

    def directive(self, then: Any, targets: dict[str, int] | None, pointer: str) -> int:
        """A flow directive as a number (E1). Without targets (branches, functions) names are refused (T19)."""
        if then is None:
            return CONTINUE
        if then in _DIRECTIVES:
            return _DIRECTIVES[then]
        if targets is None or then not in targets:
            raise invalid(pointer, f"`then: {then}` names no task of this list.")
        return targets[then]

    def _handler(self, node: Node, definition: dict[str, Any], around: Surroundings) -> Node:
        """The compensation of a task: one task, in which `$input` and `$output` are the task's own (5.4)."""
        pointer = node.pointer + "/metadata/compensate"
        handler = Node(pointer, self.kind_of(definition, pointer), node.name, definition)
        handler.step = "/compensate"
        self.program.nodes[pointer] = handler
        inside = Surroundings(frozenset({"input", "output"}), in_extension=around.in_extension, in_handler=True)
        self._fill(handler, definition, inside, None)
        self.program.lists[pointer] = (handler,)
        return handler

    def _extensions(self, node: Node) -> tuple[Extension, ...]:
        found = []
        kind = _EXTENDED_AS.get(node.kind, node.kind)
        for index, item in enumerate(self.use.get("extensions") or ()):
            name, definition = next(iter(item.items()))
            if definition.get("extend") not in (kind, "all"):
                continue
            step = f"/extensions/{index}/{escape(name)}"
            around = Surroundings(in_extension=True)
            lists = {
                key: self._extension_list(f"/use{step}/{key}", definition.get(key), around)
                for key in ("before", "after")
            }
            when = definition.get("when")
            site = None if when is None else self.field(when, "entry", Surroundings(), f"/use{step}/when")
            found.append(Extension(step, site, lists["before"], lists["after"]))
        return tuple(found)

    def _extension_list(self, pointer: str, items: Any, around: Surroundings) -> str | None:
        if items is None:
            return None
        return pointer if pointer in self.program.lists else self.tasks(items, pointer, around)

    # Expressions

    def field(self, text: Any, place: str, around: Surroundings, pointer: str, *, own: tuple[str, ...] = ()) -> Site:
        """A field that is always an expression (T30). `own` names variables that the task itself holds."""
        if not isinstance(text, str):
            raise invalid(pointer, "an expression is expected.")
        names = self._names(place, around, own)
        try:
            expression = compile_field(text, frozenset(names))
        except ExpressionFault as fault:
            raise invalid(pointer, fault.message) from None
        return Site(expression, _plan(expression.names, names))

    def template(
        self, value: Json, place: str, around: Surroundings, pointer: str, *, own: tuple[str, ...] = ()
    ) -> Site:
        """A value with expressions in it (T30)."""
        names = self._names(place, around, own)
        try:
            template = compile_template(value, frozenset(names), self.mode)
        except ExpressionFault as fault:
            raise invalid(pointer, fault.message) from None
        if template.is_constant:
            return Site(None, (), value)
        return Site(template, _plan(template.names, names))

    def transformation(
        self, value: Json, place: str, around: Surroundings, pointer: str, *, own: tuple[str, ...] = ()
    ) -> Site | None:
        """`from` and `as`: a text is an expression, everything else a template."""
        if value is None:
            return None
        if isinstance(value, str):
            return self.field(value, place, around, pointer, own=own)
        return self.template(value, place, around, pointer, own=own)

    def _names(self, place: str, around: Surroundings, own: tuple[str, ...]) -> dict[str, str]:
        names = dict(ARGUMENTS[place])
        if around.in_extension:
            names["task"] = "extended"
        for name in around.variables:
            if not (around.in_handler and name in ("input", "output") and place in ("output", "export")):
                names[name] = "variable"
        for name in own:
            names[name] = "own"
        return names

    # Parts of `use`

    def schema(self, definition: Any, pointer: str) -> Schema | None:
        """An inline schema, or the pinned text of an outside one (B25)."""
        if definition is None:
            return None
        if "document" in definition:
            return Schema(definition["document"])
        endpoint = (definition.get("resource") or {}).get("endpoint")
        address = endpoint.get("uri") if isinstance(endpoint, dict) else endpoint
        if address not in self.program.resources:
            raise invalid(pointer, f"the schema at {address} was not fetched.")
        return Schema(self.program.resources[address])

    def limit(self, definition: Any, place: str, around: Surroundings, pointer: str) -> Site | None:
        """A time limit, inline or by its name in `use.timeouts` (E4); gives a duration."""
        if definition is None:
            return None
        if isinstance(definition, str):
            definition = self.named("timeouts", definition, pointer)
        return self.duration(definition.get("after"), place, around, pointer + "/after")

    def duration(
        self, value: Any, place: str, around: Surroundings, pointer: str, *, own: tuple[str, ...] = ()
    ) -> Site:
        """A duration: a constant site holds whole milliseconds, another one gives ISO 8601 text (B24)."""
        if isinstance(value, str) and whole(value) is not None:
            return self.field(value, place, around, pointer, own=own)
        try:
            return Site(None, (), milliseconds(value))
        except ValueError as error:
            raise invalid(pointer, str(error)) from None

    def named(self, section: str, name: Any, pointer: str) -> Any:
        """What `use` holds under this name."""
        found = (self.use.get(section) or {}).get(name)
        if found is None:
            raise invalid(pointer, f"use.{section} has no {name!r}.")
        return found


def _plan(used: frozenset[str], names: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """`$secrets` needs no value: its paths became handles when the text was parsed (5.5)."""
    return tuple((name, names[name]) for name in sorted(used) if names.get(name, "secrets") != "secrets")


def _targets(node: Node) -> list[int]:
    targets = [node.then]
    if node.kind == "switch":
        targets.extend(target for _when, target in node.body.cases)
    if node.kind == "try":
        targets.append(node.body.then)
    return targets
