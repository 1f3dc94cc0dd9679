"""The past of a run, by handing its facts to the machine again: the timeline, and the run that a fork begins with."""

from collections.abc import Iterator

from perdure.engines.embedded.journal import Rows
from perdure.engines.embedded.records import RunRecord, RunRow
from perdure.engines.embedded.values import Load, Sent, read_fact
from perdure.engines.embedded.watchers import entries_of
from perdure.errors import Conflict, NotFound
from perdure.interpreter.commands import Lifecycle
from perdure.interpreter.events import Event
from perdure.interpreter.program import Program
from perdure.ports.engine import Entry


def facts_of(journal: Rows, row: RunRow, load: Load) -> Iterator[tuple[Event, int | None]]:
    """The facts of a run from the first to the last, each with its position among the CloudEvents."""
    for _, mark, body in reversed(journal.read("journal_chain", {"head": row.head, "base": 0})):
        fact = read_fact(body, load)
        if not isinstance(fact, Sent):
            yield fact, mark


def entries(journal: Rows, row: RunRow, program: Program, load: Load) -> list[Entry]:
    """The timeline of a run so far."""
    record, found = RunRecord(row._replace(status="pending", ended=None), program), list[Entry]()
    for fact, mark in facts_of(journal, row, load):
        found.extend(entries_of(record.step(fact, mark), len(found)))
    return found


def facts_until(facts: list[tuple[Event, int | None]], row: RunRow, program: Program, path: str) -> int:
    """How many facts it took until the task at `path` began. NotFound when it never did."""
    record = RunRecord(row._replace(status="pending", ended=None), program)
    for number, (fact, mark) in enumerate(facts, 1):
        for command in record.step(fact, mark):
            if isinstance(command, Lifecycle) and command.path == path and command.type.startswith("task."):
                return number
    raise NotFound(f"The run {row.id} never reached {path}.", hint="`perdure runs history` shows the paths it reached.")


def check_fit(record: RunRecord, fact: Event) -> None:
    """Conflict when the fact answers nothing that the program of the new run asked for."""
    id = getattr(fact, "id", None)
    if record.ended is not None or (id is not None and id not in record.open):
        raise Conflict(
            "The history up to there does not fit the new document: it answers something the document does not ask for.",
            hint="Fork from an earlier step, or without a path.",
        )
