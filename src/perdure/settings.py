"""Every setting: its name, its default and one sentence. Read once, by the CLI; values travel on as arguments.

A setting `egress_allow` is the environment variable `PERDURE_EGRESS_ALLOW`. `docs/operate.md` holds the same table; a
test keeps the two equal. This module reads no environment itself: it is handed a mapping.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

PREFIX = "PERDURE_"
SECRET_PREFIX = "PERDURE_SECRET_"
"""`PERDURE_SECRET_TOKEN=…` is the secret `TOKEN` of a document, for those who have no secrets file."""

_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one process. The sentence of each stands in SENTENCES."""

    data: _Text = ""
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=63)] = "default"
    functions: tuple[str, ...] = ()
    secrets: _Text = ""
    egress_allow: tuple[str, ...] = ()
    model_url: _Text = ""
    model_name: _Text = ""
    model_key: _Text = ""
    model_file: _Text = ""
    model_script: _Text = ""
    model_threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    debug: bool = False

    def __repr__(self) -> str:
        shown = {field: "…" if field == "model_key" and self.model_key else getattr(self, field) for field in SENTENCES}
        return f"Settings({', '.join(f'{field}={value!r}' for field, value in shown.items())})"


SENTENCES: dict[str, str] = {
    "data": "Directory of the journal; when empty `$XDG_DATA_HOME/perdure`, else `~/.local/share/perdure`.",
    "tenant": "The tenant under which the CLI starts and finds runs.",
    "functions": "Python modules with functions of your own, separated by commas; `--functions` adds to them.",
    "secrets": "File (JSON or YAML) that maps secret names to values; `--secrets` replaces it.",
    "egress_allow": "Hosts and networks that documents may reach although they are private, separated by commas.",
    "model_url": "Base address of an OpenAI-compatible model endpoint for `infer` and `agent`; when empty the local model is used.",
    "model_name": "Model asked for when `infer` or `agent` names none.",
    "model_key": "API key sent to the model endpoint, and to no other host.",
    "model_file": "Weights (GGUF) of the local model; when empty those of the extra `local`.",
    "model_script": "File (JSON or YAML) of a scripted model that stands in for every model, for tests and examples.",
    "model_threads": "Threads of the local model; more than one helps only on a quiet machine.",
    "debug": "Show the traceback of a bug on standard error instead of keeping it in a file (1 or 0).",
}

TEST_ONLY = frozenset({"PERDURE_REQUIRE_SERVERS"})
"""Names that belong to the test suite and are no setting."""


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of this environment. ValueError with one sentence when a value does not fit.

    An empty variable counts as absent. Unknown names are not refused; `warnings` tells of them.
    """
    given: dict[str, Any] = {}
    for field in Settings.__struct_fields__:
        text = environ.get(variable(field), "").strip()
        if text:
            given[field] = _parts(text) if isinstance(getattr(_DEFAULTS, field), tuple) else text
    for field, value in given.items():
        try:
            msgspec.convert({field: value}, Settings, strict=False)
        except msgspec.ValidationError as error:
            reason = str(error).split(" - at ")[0]
            raise ValueError(f"The setting {variable(field)} does not fit: {reason}.") from None
    return msgspec.convert(given, Settings, strict=False)


def warnings(environ: Mapping[str, str]) -> list[str]:
    """One line for each `PERDURE_…` name that is no setting, with the nearest name that is."""
    known = {variable(field) for field in Settings.__struct_fields__} | TEST_ONLY
    lines = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(SECRET_PREFIX) and name not in known:
            names = [other.removeprefix(PREFIX) for other in sorted(known)]
            nearest = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1)
            hint = f" Did you mean {PREFIX}{nearest[0]}?" if nearest else ""
            lines.append(f"{name} is not a setting and is ignored.{hint}")
    return lines


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def _parts(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


_DEFAULTS = Settings()
