"""What a document becomes once: immutable nodes by pointer, with every expression parsed (language.md 6.1).

Nothing here runs. `compiler.py` makes programs, `machine.py` runs them.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from perdure.errors import Invalid
from perdure.language.schemas import Schema
from perdure.language.values import Json

Frame: TypeAlias = dict[str, Any]
"""One task that is under way, as plain JSON (`state.py` says which keys)."""

CONTINUE, EXIT, END = -1, -2, -3
"""Flow directives; a jump to a named task is its index in the list (E1)."""


class Functions(Protocol):
    """The functions of the installation, as far as a document may know them."""

    def schema_of(self, name: str, version: str | None) -> dict[str, Any] | None: ...
    def names(self) -> list[str]: ...
    def describe(self, name: str, version: str | None) -> dict[str, Any] | None:
        """`{"name", "version", "description", "parameters", "effect"}` of a function, as an agent is told of it."""
        ...


class Evaluable(Protocol):
    """A parsed expression or a template."""

    @property
    def names(self) -> frozenset[str]: ...
    @property
    def evaluate(self) -> Any: ...


class Site:
    """One place of the document where something is computed: what, and where its `$names` come from.

    `plan` pairs each `$name` that is really used with its source in `dataflow.SOURCES` (1.1), so that nothing else
    is ever built. A constant site keeps its value.
    """

    __slots__ = ("constant", "evaluable", "is_constant", "plan")

    def __init__(self, evaluable: Evaluable | None, plan: tuple[tuple[str, str], ...], constant: Json = None) -> None:
        self.evaluable = evaluable
        self.plan = plan
        self.is_constant = evaluable is None
        self.constant = constant


class Node:
    """One task of the document, compiled. The workflow itself is the node with the empty pointer."""

    __slots__ = (
        "after", "behaviour", "body", "compensate", "definition", "export_as", "export_schema", "extensions", "if_",
        "index", "input_from", "input_schema", "is_plain", "is_saga", "is_task", "keeps", "kind", "looped", "name",
        "output_as", "output_schema", "pointer", "step", "then", "told",
    )  # fmt: skip

    def __init__(self, pointer: str, kind: str, name: str, definition: dict[str, Any]) -> None:
        self.pointer = pointer
        self.kind = kind
        self.name = name
        self.definition = definition
        self.step = ""
        """What the task adds to the path of its list: `/0/name`."""
        self.index = 0
        self.behaviour: Any = None
        """The module of `tasks/` that knows this kind."""
        self.body: Any = None
        """What that module compiled for itself."""
        self.if_: Site | None = None
        self.input_schema: Schema | None = None
        self.input_from: Site | None = None
        self.output_as: Site | None = None
        self.output_schema: Schema | None = None
        self.export_as: Site | None = None
        self.export_schema: Schema | None = None
        self.after: Site | None = None
        """The time limit of the task."""
        self.then: int = CONTINUE
        self.looped = False
        """Whether its list may visit it again."""
        self.extensions: tuple[Extension, ...] = ()
        self.compensate: Node | None = None
        self.is_saga = False
        self.is_plain = True
        """Whether nothing but its kind decides: no `if`, no data flow, no limit, no extension, no compensation."""
        self.told: dict[str, Json] = {}
        """What the timeline says of every such task: the `tool` that an agent's step is."""
        self.is_task = True
        """Whether it shows on the timeline; the machine's own frames do not."""

    def __repr__(self) -> str:
        return f"Node({self.kind} {self.pointer or 'workflow'})"


class Extension:
    """One extension as it applies to a node (E9): pointers of its lists."""

    __slots__ = ("after", "before", "step", "when")

    def __init__(self, step: str, when: Site | None, before: str | None, after: str | None) -> None:
        self.step = step
        self.when = when
        self.before = before
        self.after = after


class Program:
    """A compiled document. `hash` changes with the document, its resources, the expression engine or the semantics."""

    __slots__ = ("document", "hash", "kinds", "lists", "name", "namespace", "nodes", "resources", "version", "watches")

    def __init__(self, document: dict[str, Any], resources: Mapping[str, Json], hash_: str) -> None:
        heading = document["document"]
        self.document = document
        self.resources = dict(resources)
        self.hash = hash_
        self.namespace: str = heading["namespace"]
        self.name: str = heading["name"]
        self.version: str = heading["version"]
        self.nodes: dict[str, Node] = {}
        self.lists: dict[str, tuple[Node, ...]] = {}
        self.kinds: dict[str, Any] = {}
        """Kind of a frame -> the module that knows it."""
        self.watches: tuple[str, ...] = ()
        """Types of lifecycle events that it listens for; '' for any of them."""

    def __repr__(self) -> str:
        return f"Program({self.namespace}/{self.name} {self.version}, {len(self.nodes)} nodes, {self.hash[:12]})"


def invalid(pointer: str, sentence: str) -> Invalid:
    """The error for a document that never passed its check."""
    return Invalid(f"{pointer or '/'}: {sentence}", hint="Check the document with `perdure validate`.")
