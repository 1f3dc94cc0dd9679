"""Whether an expression may be evaluated at all: an allow-list of nodes, builtins, formats and names (language.md 7.3)."""

from typing import Any, NoReturn

from perdure.language.guard.calls import OFFERED, REFUSED, parameters_of
from perdure.language.guard.faults import ExpressionFault
from perdure.language.guard.limits import LIMITS
from perdure.language.guard.secrets import RESERVED

FORMATS = frozenset("text json html uri urid csv tsv sh base64 base64d".split())
_REFUSED_NAMES = frozenset({"ENV", "__loc__", "__prog_args"})
_PLAIN = frozenset(
    "identity const emptyarray field index slice iterate pipe comma binop and or alt neg opt try collect assign".split()
)


def check_tree(tree: Any, names: frozenset[str] | None) -> frozenset[str]:
    """The `$names` the expression uses from outside. ExpressionFault for everything that is not offered.

    `names` are those that this field offers; None offers any.
    """
    checker = _Checker(names)
    checker.check(tree, _Scope(frozenset(), frozenset(), frozenset()))
    return frozenset(checker.used)


class _Scope:
    """What the expression itself has defined at one place."""

    def __init__(self, variables: frozenset[str], functions: frozenset[Any], labels: frozenset[str]) -> None:
        self.variables = variables
        self.functions = functions
        self.labels = labels

    def knowing(
        self, variables: frozenset[str] = frozenset(), functions: frozenset[Any] = frozenset(), label: str | None = None
    ) -> "_Scope":
        labels = self.labels if label is None else self.labels | {label}
        return _Scope(self.variables | variables, self.functions | functions, labels)


class _Checker:
    def __init__(self, names: frozenset[str] | None) -> None:
        self.names = names
        self.used: set[str] = set()

    def check(self, node: Any, scope: _Scope) -> None:
        if node[0] in _PLAIN:
            if node[0] == "const":
                _constant(node[1])
            self.check_all(node[1:], scope)
        else:
            getattr(self, "_" + node[0])(node, scope)

    def check_all(self, parts: Any, scope: _Scope) -> None:
        for part in parts:
            if isinstance(part, tuple) and part and isinstance(part[0], str):
                self.check(part, scope)
            elif isinstance(part, list | tuple):
                self.check_all(part, scope)

    def _str(self, node: Any, scope: _Scope) -> None:
        self._format(node, scope)
        self.check_all(node[2], scope)

    def _format(self, node: Any, _scope: _Scope) -> None:
        if node[1] is not None and node[1] not in FORMATS:
            _refuse(node, f"There is no @{node[1]}.", f"The formats are @{' @'.join(sorted(FORMATS))}.")

    def _object(self, node: Any, scope: _Scope) -> None:
        for key, item in node[1]:
            if key[0] == "const" and not isinstance(key[1], str):
                _refuse(node, "The keys of an object are texts.", "Write (. | tostring) for a computed one.")
            if key[0] == "const" and key[1].startswith(RESERVED):
                _refuse(node, f"Keys that begin with {RESERVED} are reserved.", None)
            self.check(key, scope)
            self.check(item, scope)

    def _if(self, node: Any, scope: _Scope) -> None:
        if len(node[1]) > LIMITS.branches:
            _refuse(node, f"An if has more than {LIMITS.branches} branches.", None)
        self.check_all([part for branch in node[1] for part in branch], scope)
        self.check_all([node[2]], scope)

    def _var(self, node: Any, scope: _Scope) -> None:
        name = node[1]
        if name in scope.variables:
            return
        if name in _REFUSED_NAMES:
            _refuse(node, f"${name} is refused: an expression sees nothing of its surroundings.", None)
        if self.names is not None and name not in self.names:
            offered = ", ".join(f"${offer}" for offer in sorted(self.names)) or "no arguments"
            _refuse(node, f"${name} is not offered here.", f"This field offers {offered}.")
        self.used.add(name)

    def _loc(self, node: Any, _scope: _Scope) -> None:
        _refuse(node, "$__loc__ is refused.", None)

    def _call(self, node: Any, scope: _Scope) -> None:
        name, count = node[1], len(node[2])
        if (name, count) not in scope.functions and (name, count) not in OFFERED:
            if name in REFUSED:
                instead = "Use the workflow's arguments and inputs." if name != "now" else "Use $task.startedAt."
                _refuse(node, f"{name} is refused: an expression sees nothing of its surroundings.", instead)
            counts = sorted({known for offer, known in OFFERED if offer == name})
            noun = "argument" if list(counts) == [1] else "arguments"
            hint = f"There is {name} with {' or '.join(map(str, counts))} {noun}." if counts else None
            if not counts and not count:
                hint = f'For the field write ".{name}", for a text "\\"{name}\\"", for an argument "${name}".'
            _refuse(node, f"There is no function {name}/{count}.", hint)
        self.check_all(node[2], scope)

    def _funcdef(self, node: Any, scope: _Scope) -> None:
        parameters = frozenset(name[1:] for name in node[2] if name.startswith("$"))
        if "secrets" in parameters:
            _refuse(node, "$secrets cannot be the name of a variable.", None)
        self.check(node[3], scope.knowing(parameters, parameters_of(node)))
        self.check(node[4], scope.knowing(functions=frozenset({(node[1], len(node[2]))})))

    def _as(self, node: Any, scope: _Scope) -> None:
        self.check(node[1], scope)
        self.check(node[3], scope.knowing(self._patterns(node[2], scope)))

    def _reduce(self, node: Any, scope: _Scope) -> None:
        self.check(node[1], scope)
        self.check(node[3], scope)
        inner = scope.knowing(self._patterns(node[2], scope))
        self.check_all(node[4:], inner)

    _foreach = _reduce

    def _label(self, node: Any, scope: _Scope) -> None:
        self.check(node[2], scope.knowing(label=node[1]))

    def _break(self, node: Any, scope: _Scope) -> None:
        if node[1] not in scope.labels:
            _refuse(node, f"There is no label ${node[1]} to break to.", None)

    def _patterns(self, patterns: Any, scope: _Scope) -> frozenset[str]:
        found: set[str] = set()
        pending = list(patterns)
        while pending:
            pattern = pending.pop()
            if pattern[0] == "pvar":
                found.add(pattern[1])
            elif pattern[0] == "parray":
                pending.extend(pattern[1])
            else:
                for key, inner, name in pattern[1]:
                    self.check(key, scope)
                    found.update([name] if name is not None else [])
                    pending.append(inner)
        if "secrets" in found:
            _refuse(patterns, "$secrets cannot be the name of a variable.", None)
        return frozenset(found)


def _constant(value: Any) -> None:
    if isinstance(value, str) and value.startswith(RESERVED):
        raise ExpressionFault(f"Texts that begin with {RESERVED} are reserved.")


def _refuse(node: Any, message: str, hint: str | None) -> NoReturn:
    raise ExpressionFault(message, offset=getattr(node, "offset", None), hint=hint)
