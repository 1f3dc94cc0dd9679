"""Rules of the installation about what may be asked and what may be answered: refuse with a sentence, or mask.

They are read from one file, once; a rule that cannot be read stops the start. A rule whose expression fails refuses:
what could not be checked does not pass.
"""

import fnmatch
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import re2

from perdure.errors import Invalid
from perdure.language.expressions import Expression, ExpressionFault, parse
from perdure.language.read import Unreadable, read
from perdure.language.schemas import Schema
from perdure.language.values import Json
from perdure.ports.guardrails import Asking
from perdure.ports.model import Answer, Image, Message, Request, Text, Tool, ToolCall

_NAMES = frozenset({"caller", "request"})
_MASK_MEMORY = 8 << 20
KnownAs = Callable[[str], tuple[str, ...]]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One rule as it is written. `when` (jq) and `schema` say when it takes hold: where `when` is true, where the value
    does not fit `schema`. Then `refuse` is said; or `mask` (RE2) is replaced by `by` in all texts, whenever it is found."""

    name: str
    when: str = ""
    schema: Json = None
    refuse: str = ""
    mask: str = ""
    by: str = "[masked]"
    models: tuple[str, ...] = ()
    """Patterns of models that it is about (`openai/*`); empty: all."""
    tenants: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Ids of the API keys that it is about; empty: all."""


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    before: tuple[Rule, ...] = ()
    after: tuple[Rule, ...] = ()


class Barred(Invalid):
    """A rule of this installation does not let this pass."""

    code = "guardrail"


class _Compiled:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._when: Expression | None = parse(rule.when, _NAMES) if rule.when else None
        self._schema = Schema(rule.schema) if rule.schema is not None else None
        if self._schema is not None:
            self._schema.check()
        self.mask: Callable[[str], str] | None = _masking(rule) if rule.mask else None

    def is_about(self, names: tuple[str, ...], caller: Asking) -> bool:
        """`names`: all that the model is known by."""
        rule = self.rule
        if rule.tenants and caller.tenant not in rule.tenants:
            return False
        if rule.keys and caller.key not in rule.keys:
            return False
        return not rule.models or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in rule.models)

    def check(self, value: Json, arguments: dict[str, Json]) -> None:
        """Barred when the rule takes hold."""
        try:
            takes_hold = (self._when is None or self._when.evaluate(value, arguments) is True) and (
                self._schema is None or self._schema.violation(value) is not None
            )
        except (ExpressionFault, ValueError):
            raise Barred(f"The rule {self.rule.name!r} of this installation could not check this.") from None
        if takes_hold:
            raise Barred(self.rule.refuse)


class Guardrails:
    """All rules, compiled. `known_as` tells every name of the model that a name leads to, so that no other name of it gets
    around a rule."""

    def __init__(self, rules: Rules = Rules(), known_as: KnownAs = lambda name: (name,)) -> None:
        self._known_as = known_as
        self._before = [_compiled(rule) for rule in rules.before]
        self._after = [_compiled(rule) for rule in rules.after]

    def __repr__(self) -> str:
        return f"Guardrails({len(self._before)} before, {len(self._after)} after)"

    def holds(self, request: Request, caller: Asking) -> bool:
        """Whether an answer has to be seen whole before a piece of it is given."""
        return next(self._about(self._after, request, caller), None) is not None

    def before(self, request: Request, caller: Asking) -> Request:
        """The request as it may be sent. Raises Barred."""
        if not self._before:
            return request
        for rule in self._about(self._before, request, caller):
            if rule.mask is not None:
                messages = tuple(_masked_message(message, rule.mask) for message in request.messages)
                tools = tuple(_masked_tool(tool, rule.mask) for tool in request.tools)
                request = msgspec.structs.replace(request, messages=messages, tools=tools)
            else:
                rule.check(asked(request), {"caller": _shown(caller), "request": None})
        return request

    def after(self, answer: Answer, request: Request, caller: Asking) -> Answer:
        """The answer as it may be given. Raises Barred."""
        if not self._after:
            return answer
        for rule in self._about(self._after, request, caller):
            if rule.mask is not None:
                calls = tuple(_masked_call(call, rule.mask) for call in answer.tool_calls)
                answer = msgspec.structs.replace(answer, text=rule.mask(answer.text), tool_calls=calls, more={})
            else:
                rule.check(said(answer), {"caller": _shown(caller), "request": asked(request)})
        return answer

    def _about(self, rules: list[_Compiled], request: Request, caller: Asking) -> Iterator[_Compiled]:
        names = self._known_as(request.model) if any(rule.rule.models for rule in rules) else ()
        return (rule for rule in rules if rule.is_about(names, caller))


def load(path: Path, known_as: KnownAs = lambda name: (name,)) -> Guardrails:
    """Read and check the file. Invalid with one sentence."""
    try:
        return Guardrails(msgspec.convert(read(path.read_bytes()).value, Rules), known_as)
    except OSError as error:
        raise Invalid(f"The rules file {path} cannot be read: {error.strerror}.") from None
    except (Unreadable, msgspec.ValidationError) as error:
        hint = (
            "Write `before:` and `after:`, each a list of {name, when, schema, refuse, mask, by}; see docs/operate.md."
        )
        raise Invalid(f"The rules file {path} does not fit: {str(error).rstrip('.')}.", hint=hint) from None


def asked(request: Request) -> dict[str, Json]:
    """A request as rules see it: texts as text."""
    return {
        "model": request.model,
        "messages": [
            {
                "role": message.role,
                "content": message.text,
                "images": sum(isinstance(part, Image) for part in message.content if not isinstance(part, str)),
                "toolCalls": msgspec.to_builtins(message.tool_calls),
            }
            for message in request.messages
        ],
        "tools": [tool.name for tool in request.tools],
        "parameters": request.parameters,
        "schema": request.schema,
    }


def said(answer: Answer) -> dict[str, Json]:
    """An answer as rules see it."""
    calls = msgspec.to_builtins(answer.tool_calls)
    return {"text": answer.text, "finish": answer.finish, "toolCalls": calls, "usage": answer.usage}


def _compiled(rule: Rule) -> _Compiled:
    if bool(rule.mask) == bool(rule.refuse):
        raise Invalid(f"The rule {rule.name!r} has to have `refuse` or `mask`, one of the two.")
    if rule.mask and (rule.when or rule.schema is not None):
        raise Invalid(f"The rule {rule.name!r} masks wherever its pattern is found: leave `when` and `schema` out.")
    if rule.refuse and not rule.when and rule.schema is None and not rule.models and not rule.keys:
        raise Invalid(f"The rule {rule.name!r} would refuse everything: give it `when`, `schema`, `models` or `keys`.")
    try:
        return _Compiled(rule)
    except (ExpressionFault, ValueError) as error:
        raise Invalid(f"The rule {rule.name!r} does not fit: {str(error).rstrip('.')}.") from None


def _masking(rule: Rule) -> Callable[[str], str]:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MASK_MEMORY
    try:
        pattern = re2.compile(rule.mask, options)
    except re2.error as error:
        text = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"its pattern cannot be used: {text} (RE2: no look-around, no back-references)") from None

    def mask(text: str) -> str:
        masked: str = pattern.sub(lambda _: rule.by, text)  # as a text it would be read for groups, and as Latin-1
        return masked

    return mask


def _masked_message(message: Message, mask: Callable[[str], str]) -> Message:
    if isinstance(message.content, str):
        content: Any = mask(message.content)
    else:
        content = tuple(
            msgspec.structs.replace(part, text=mask(part.text)) if isinstance(part, Text) else part
            for part in message.content
        )
    calls = tuple(_masked_call(call, mask) for call in message.tool_calls)
    return msgspec.structs.replace(message, content=content, tool_calls=calls)


def _masked_call(call: ToolCall, mask: Callable[[str], str]) -> ToolCall:
    return msgspec.structs.replace(call, arguments=_masked_value(call.arguments, mask))


def _masked_tool(tool: Tool, mask: Callable[[str], str]) -> Tool:
    """What models are told of a tool is text like any other; its parameters are a schema, and stay."""
    return msgspec.structs.replace(tool, description=mask(tool.description))


def _masked_value(value: Json, mask: Callable[[str], str]) -> Json:
    """Every text at any depth; what JSON readers let in is not nested too deeply for this."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_masked_value(item, mask) for item in value]
    if isinstance(value, dict):
        return {name: _masked_value(item, mask) for name, item in value.items()}
    return value


def _shown(caller: Asking) -> dict[str, Json]:
    return {"tenant": caller.tenant, "subject": caller.subject, "key": caller.key, "project": caller.project}
