"""Tables in the documents that are made from the code. `make fmt` writes them; a test holds them equal.

A table stands between `<!-- name: made from … -->` and `<!-- end -->`.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

from perdure import errors, settings
from perdure.adapters.metrics import METRICS
from perdure.interpreter.commands import Command
from perdure.interpreter.events import Event
from perdure.language.read import Unreadable
from perdure.language.rules.report import CODES

ROOT = Path(__file__).resolve().parents[2]


def settings_table() -> Iterator[str]:
    yield "| Variable | Default | Meaning |"
    yield "|---|---|---|"
    defaults = settings.Settings()
    for field in settings.Settings.__struct_fields__:
        default = getattr(defaults, field)
        shown = "(empty)" if default in {"", ()} else f"`{int(default) if isinstance(default, bool) else default}`"
        yield f"| `{settings.variable(field)}` | {shown} | {settings.SENTENCES[field]} |"


def errors_table() -> Iterator[str]:
    yield "| Code | Means | Exit code | Trying again may help |"
    yield "|---|---|---|---|"
    for kind in [*errors.MEANINGS, Unreadable]:
        meaning = next(errors.MEANINGS[parent] for parent in kind.__mro__ if parent in errors.MEANINGS)
        again = "yes" if meaning.may_retry else "no"
        yield f"| `{kind.code}` | {first_line(kind)} | {meaning.exit_code} | {again} |"


def metrics_table() -> Iterator[str]:
    yield "| Name | Kind | Labels | Means |"
    yield "|---|---|---|---|"
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{name}` | {metric.kind} | {labels} | {metric.sentence} |"


def findings_table() -> Iterator[str]:
    yield "| Code | What it is about |"
    yield "|---|---|"
    for code, sentence in CODES.items():
        yield f"| `{code}` | {sentence} |"


def events_table() -> Iterator[str]:
    yield "| Event | Means |"
    yield "|---|---|"
    for kind in typing.get_args(Event):
        yield f"| `{kind.__struct_config__.tag}` | {first_line(kind)} |"


def commands_table() -> Iterator[str]:
    yield "| Command | Means |"
    yield "|---|---|"
    for kind in typing.get_args(Command):
        yield f"| `{kind.__struct_config__.tag}` | {first_line(kind)} |"


TABLES: dict[tuple[str, str], Callable[[], Iterator[str]]] = {
    ("docs/operate.md", "settings"): settings_table,
    ("docs/operate.md", "errors"): errors_table,
    ("docs/operate.md", "metrics"): metrics_table,
    ("docs/language.md", "findings"): findings_table,
    ("ARCHITECTURE.md", "events"): events_table,
    ("ARCHITECTURE.md", "commands"): commands_table,
}


def first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")


def renewed(text: str, name: str, rows: Iterator[str]) -> str:
    """The document's text with the table as the code has it now. KeyError when it has no place for it."""
    pattern = re.compile(rf"(<!-- {name}: made from [^>]+ -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise KeyError(name)
    return pattern.sub(lambda found: f"{found[1]}\n" + "\n".join(rows) + f"\n\n{found[2]}", text)


def main() -> None:
    for (document, name), rows in TABLES.items():
        path = ROOT / document
        old = path.read_text()
        new = renewed(old, name, rows())
        if new != old:
            path.write_text(new)
            print(f"fmt: wrote the table {name} of {document}")


if __name__ == "__main__":
    main()
