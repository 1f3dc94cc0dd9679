"""With a key, the database of a Temporal server holds nothing of what goes in and out of runs; what it does hold is listed."""

import base64
import contextlib
import os
from pathlib import Path

import pytest

pytest.importorskip("temporalio")

from perdure.adapters.blobs_directory import DirectoryBlobs
from perdure.adapters.clock import SystemClock
from perdure.adapters.secrets_environment import EnvironmentSecrets
from perdure.errors import Unavailable
from perdure.functions import python
from perdure.functions.table import Table
from perdure.language.check import check
from perdure.language.read import read
from tests.servers import temporal

pytestmark = pytest.mark.slow
OLD, NEW = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))

DOCUMENT = """
document: { dsl: 1.0.3, namespace: public-space, name: public-name, version: 1.0.0 }
use: { secrets: [PIN] }
do:
  - publicTask: { call: tell, with: { words: '${ .words }', pin: '${ $secrets.PIN }' } }
  - big: { call: grow, with: { words: words of an argument } }
  - heard:
      listen: { to: { one: { with: { type: public.type, data: '${ .text == "words of an event" }' } } } }
  - said: { emit: { event: { with: { source: 'urn:x', type: other.type, data: { text: words that were emitted } } } } }
  - fails: { call: fail, with: { words: words of an argument } }
"""
CHILD = """
document: { dsl: 1.0.3, namespace: public-space, name: child, version: 1.0.0 }
do: [{ a: { set: '${ "words of a published one" }' } }]
"""
PARENT = """
document: { dsl: 1.0.3, namespace: public-space, name: parent, version: 1.0.0 }
do: [{ a: { run: { workflow: { namespace: public-space, name: child, version: 1.0.0 } } } }]
"""
HIDDEN = [
    b"words of a published one",
    b"words of an input", b"words of an answer", b"words of progress", b"words of an event", b"words that were emitted",
    b"words of an argument", b"words of a fault", b"4711-8822", b"words that grew", b"words of a skip",
]  # fmt: skip
READABLE = [b"public-name", b"acme", b"publicTask", b"faulted", b"run-1"]
"""Search attributes (tenant, workflow, version, status), ids of runs, and the paths of calls."""

FUNCTIONS = '''
import perdure
from perdure.ports.function import Context

@perdure.function(effect="idempotent")
async def tell(words: str, pin: str, context: Context) -> str:
    """Answers."""
    assert pin == "4711-8822"
    context.progress({"done": "words of progress"})
    return "words of an answer"

@perdure.function(effect="idempotent")
async def grow(words: str) -> dict:
    """Answers with much."""
    return {"text": "words that grew " * 20_000}

@perdure.function(effect="idempotent")
async def fail(words: str) -> None:
    """Faults."""
    raise ValueError("words of a fault")
'''


@pytest.fixture
def server(tmp_path, require, took_part):
    require(temporal.is_installed(), temporal.MISSING)
    took_part("Temporal server that is read")
    started = temporal.TemporalServer(tmp_path, keeps=True)
    started.start()
    yield started
    started.stop()


def engine_of(server, folder, table, keys):
    from perdure.engines.temporal.connection import Address
    from perdure.engines.temporal.engine import TemporalEngine

    blobs = DirectoryBlobs(folder / "store")
    return TemporalEngine(Address(target=server.target), table, blobs, installation="inst", keys=keys), blobs


@contextlib.asynccontextmanager
async def working(engine, blobs, table):
    from perdure.engines.temporal.worker import TemporalWorker

    secrets = EnvironmentSecrets({"PERDURE_SECRET_PIN": "4711-8822"})
    async with engine:
        worker = TemporalWorker(engine.client, "inst", blobs, table, clock=SystemClock(), secrets=secrets)
        await worker.open()
        try:
            yield
        finally:
            await worker.close()


def kept(*folders: Path) -> bytes:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files if path.suffix not in {".py", ".log"})


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "plain"])
async def test_what_a_server_keeps(server, tmp_path, sealed):
    file = tmp_path / "telling.py"
    file.write_text(FUNCTIONS)
    table = Table(python.load(str(file)))
    reading = read(DOCUMENT)
    assert not [finding for finding in check(reading, functions=table) if finding.severity == "error"]
    engine, blobs = engine_of(server, tmp_path, table, (NEW, OLD) if sealed else ())
    async with working(engine, blobs, table):
        await engine.publish("acme", read(CHILD).value, {})
        await engine.start("acme", reading.value, {"words": "words of an input"}, run="run-1")
        event = {"specversion": "1.0", "id": "1", "source": "urn:t", "type": "public.type"}
        await engine.deliver("acme", {**event, "data": {"text": "words of an event"}})
        run = await engine.wait("acme", "run-1")
        assert run.status == "faulted"
        assert "words of a fault" in str(run.error)
        await engine.skip("acme", "run-1", output="words of a skip", has_output=True)
        run = await engine.wait("acme", "run-1")
        assert (run.status, run.output) == ("completed", "words of a skip")
        child = await engine.start("acme", read(PARENT).value, {})
        assert (await engine.wait("acme", child)).output == "words of a published one"
    async with engine:
        assert [entry.type for entry in await engine.history("acme", "run-1")][-1].endswith("completed.v1")
    server.stop()
    found = kept(tmp_path)
    assert [words for words in READABLE if words not in found] == []
    assert [words for words in HIDDEN if words in found] == ([] if sealed else sorted(
        set(HIDDEN) - {b"4711-8822"}, key=HIDDEN.index
    ))  # fmt: skip


async def test_keys_rotate_and_a_process_without_them_says_so(server, tmp_path):
    file = tmp_path / "telling.py"
    file.write_text(FUNCTIONS)
    table = Table(python.load(str(file)))
    document = read(
        "document: { dsl: 1.0.3, namespace: a, name: b, version: 1.0.0 }\ndo: [{ grow: { call: grow, with: { words: x } } }]"
    ).value
    output = {"text": "words that grew " * 20_000}
    for number, keys in enumerate([(OLD,), (NEW, OLD)]):
        engine, blobs = engine_of(server, tmp_path, table, keys)
        async with working(engine, blobs, table):
            await engine.start("acme", document, {}, run=f"run-{number}")
            assert (await engine.wait("acme", f"run-{number}")).output == output
            assert (await engine.describe("acme", "run-0")).output == output
    for keys in ((OLD,), ()):
        engine, _ = engine_of(server, tmp_path, table, keys)
        async with engine:
            with pytest.raises(Unavailable, match="PERDURE_TEMPORAL_KEYS"):
                await engine.describe("acme", "run-1")
