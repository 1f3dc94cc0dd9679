"""`embed`: texts as vectors, as a function of the default catalog (language.md 5.2). A secret never goes to a model."""

from typing import Any

from perdure.functions.model_providers import Providers, refuse
from perdure.interpreter import handles
from perdure.language.schemas import Schema
from perdure.language.values import Json
from perdure.ports.function import Context, Effect, Result
from perdure.ports.model import Texts

MOST = 2_048
"""Texts of one call."""

_text = {"type": "string", "minLength": 1, "maxLength": 200_000}
_vector = {"type": "array", "items": {"type": "number"}}
_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "input": {
            "anyOf": [_text, {"type": "array", "items": _text, "minItems": 1, "maxItems": MOST}],
            "description": "A text, or a list of texts.",
        },
        "dimensions": {
            "type": "integer",
            "minimum": 1,
            "description": "Length of a vector, where the model can choose.",
        },
        "model": {"type": "string", "minLength": 1},
        "provider": {"type": "string", "minLength": 1},
    },
    "required": ["input"],
    "additionalProperties": False,
}


class Embed:
    """Make vectors of texts. `models` are all behind one face, `providers` the names that a call may give."""

    name = "embed"
    version = "1.0.0"
    effect: Effect = "idempotent"
    summary = "Turn a text into a vector, or a list of texts into a list of vectors."
    input_schema = _INPUT
    output_schema: dict[str, Any] = {"anyOf": [_vector, {"type": "array", "items": _vector}]}

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._arguments = Schema(_INPUT)

    async def execute(self, arguments: Json, context: Context) -> Json | Result:
        """The vector, or the vectors in the order of the texts. Faults: `validation` (arguments), `authorization` (a
        secret in the input), `configuration`, `authentication`, `communication`, `timeout`, and `BUDGET` of `model_providers`."""
        if handles.has_secret(arguments):
            refuse("authorization", "A secret never goes to a model. Leave it out of the arguments of embed.")
        violation = self._arguments.violation(arguments)
        if violation:
            refuse("validation", f"The arguments of embed do not fit: {violation}")
        given = arguments["input"]
        texts = Texts(
            texts=(given,) if isinstance(given, str) else tuple(given),
            key=context.key,
            model=arguments.get("model", ""),
            dimensions=arguments.get("dimensions"),
        )
        made = await self._providers.embed(arguments.get("provider"), texts, context)
        vectors = [list(vector) for vector in made.vectors]
        return Result(vectors[0] if isinstance(given, str) else vectors, made.usage)

    def effect_of(self, arguments: Json, resources: dict[str, Json]) -> Effect:
        """Always `idempotent`: asking again changes nothing but the bill."""
        return self.effect

    def __repr__(self) -> str:
        return f"Embed({self._providers!r})"
