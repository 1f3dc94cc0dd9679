"""JSON Schema (language.md B1, B25): values against schemas, offline, with a regex engine that is linear in time.

Draft 2020-12 unless `$schema` names another. A `$ref` that leaves the document is never fetched: whoever needs one
resolves it before.
"""

from typing import TYPE_CHECKING

from perdure.language.values import Json

if TYPE_CHECKING:
    import jsonschema_rs

_SHOWN = 240
_TAIL = 100


class Schema:
    """One schema, compiled on first use and kept."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._validator: jsonschema_rs.Validator | None = None

    def check(self) -> None:
        """ValueError with one clear sentence when the document is not a valid schema that we can compile."""
        self._compiled()

    def violation(self, value: Json) -> str | None:
        """The first thing that does not fit, in one sentence with its place in the value; None when all fits.

        ValueError when the schema itself is not valid, or the value is not JSON.
        """
        validator = self._compiled()
        if validator.is_valid(value):
            return None
        error = next(iter(validator.iter_errors(value)))
        return f"{_shortened(error.message)}, at {_place(error.instance_path)}."

    def _compiled(self) -> "jsonschema_rs.Validator":
        if self._validator is None:
            import jsonschema_rs  # 8 ms of start-up that a document without schemas does not pay

            try:
                self._validator = jsonschema_rs.validator_for(
                    self.document,
                    offline=True,
                    pattern_options=jsonschema_rs.RegexOptions(),
                )
            except jsonschema_rs.ValidationError as error:
                raise ValueError(_invalid(error)) from None
            except (ValueError, TypeError) as error:
                raise ValueError(f"The schema is not JSON: {_shortened(str(error))}.") from None
        return self._validator

    def __repr__(self) -> str:
        return f"Schema({_shortened(repr(self.document))}, {'compiled' if self._validator else 'not compiled'})"


def _invalid(error: "jsonschema_rs.ValidationError") -> str:
    message = error.message
    if "Retrieval is disabled" in message:
        address = _shortened(message.partition("cannot fetch ")[2])
        return f"The schema refers to {address}, which is never fetched. Copy that schema under $defs."
    if 'is not a "regex"' in message:
        return (
            f"The schema's pattern at {_place(error.instance_path)} is not a regular expression we can run: "
            f"{_shortened(message)}. Look-around and back-references are not supported."
        )
    return f"The schema is not valid at {_place(error.instance_path)}: {_shortened(message)}."


def _place(path: list[str | int]) -> str:
    """JSON pointer (RFC 6901); words for the whole value, whose pointer is empty."""
    return "the root" if not path else "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN + _TAIL else f"{text[:_SHOWN]} … {text[-_TAIL:]}"
