"""`perdure` on a Temporal server as people use it: workers that stop in good order, servers that are away, wrong settings."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.temporal import MISSING, TemporalServer, free_port, is_installed
from tests.system.temporal_world import TENANT, TemporalWorld

HELLO = "document: {dsl: 1.0.3, namespace: test, name: hello, version: 1.0.0}\ndo:\n"
KEYS = [base64.b64encode(letter * 32).decode() for letter in (b"1", b"2")]


@pytest.fixture
def world(temporal_server: TemporalServer, tmp_path: Path, took_part) -> Iterator[TemporalWorld]:
    took_part("Temporal server")
    made = TemporalWorld(temporal_server, tmp_path, f"cli-{uuid.uuid4()}")
    yield made
    made.close()


def perdure(world: TemporalWorld, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = world.environment() | {f"PERDURE_TEMPORAL_{name.upper()}": value for name, value in more.items()}
    return subprocess.run(
        [sys.executable, "-m", "perdure", *words], env=environment, capture_output=True, text=True, timeout=60
    )


def hello(world: TemporalWorld, tasks: str = "  - a: {set: {x: 1}}\n") -> str:
    path = world.folder / f"{uuid.uuid4()}.yaml"
    path.write_text(HELLO + tasks)
    return str(path)


async def until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def asked(port: int, path: str) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
    except OSError:
        return None


async def test_a_worker_lets_its_calls_finish_when_it_is_told_to_stop(world):
    world.more["PACE"] = "1.5"
    worker = world.start_worker()
    async with world.engine() as engine:
        document = world.document("- a: {call: effect, with: {label: a}}\n- b: {call: charge, with: {label: b}}")
        run = await engine.start(TENANT, document, {})
        await until(lambda: world.noted("effect"))
        worker.terminate()
        assert await asyncio.to_thread(worker.wait) == 0
        history = await engine.history(TENANT, run)  # the result is there, although nobody is left to go on
        assert [entry.path for entry in history if entry.type == "task.completed.v1"] == ["/do/0/a"]
        world.start_worker()
        assert (await asyncio.wait_for(engine.wait(TENANT, run), 30)).status == "completed"
    assert (len(world.noted("effect")), len(world.noted("charge"))) == (1, 1)
    assert "calls under way may finish" in world.log()


async def test_calls_that_outlast_the_drain_are_given_to_another_worker(world):
    world.more["PACE"] = "2"
    worker = world.start_worker("--drain", "0.2")
    async with world.engine() as engine:
        run = await engine.start(TENANT, world.document("- a: {call: effect, with: {label: a}}"), {})
        await until(lambda: world.noted("effect"))
        began = time.monotonic()
        worker.terminate()
        assert await asyncio.to_thread(worker.wait) == 0
        assert time.monotonic() - began < 2.5
        world.more["PACE"] = "0"
        world.start_worker()
        assert (await asyncio.wait_for(engine.wait(TENANT, run), 30)).status == "completed"
    assert (len(world.noted("effect")), len(set(world.noted("effect")))) == (2, 1)


async def test_health_limits_and_new_definitions(world):
    port = free_port()
    worker = world.start_worker("--health", f"127.0.0.1:{port}", "--calls", "1")
    await until(lambda: asked(port, "/ready") == 200)
    assert [asked(port, path) for path in ("/live", "/", "/ready?x=1", "/other")] == [200, 200, 200, 404]
    async with world.engine() as engine:
        document = world.document("- a: {call: alone, with: {label: a}}")
        runs = [await engine.start(TENANT, document, {"n": n}) for n in range(3)]
        ended = [await asyncio.wait_for(engine.wait(TENANT, run), 30) for run in runs]
        assert [run.output for run in ended] == [0, 0, 0]
        await engine.publish(TENANT, world.document("- s: {set: {x: 1}}", name="fresh"), {})
        tasks = "- r: {run: {workflow: {namespace: test, name: fresh, version: latest, input: {}}}}"
        run = await engine.start(TENANT, world.document(tasks, name="caller"), {})
        assert (await asyncio.wait_for(engine.wait(TENANT, run), 30)).output == {"x": 1}
    worker.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(worker.wait) == 0
    assert asked(port, "/live") is None


async def test_a_worker_waits_for_its_server_and_a_run_outlasts_it(tmp_path, require, took_part):
    require(is_installed(), MISSING)
    took_part("Temporal server that is killed")
    server = TemporalServer(tmp_path, keeps=True)
    world = TemporalWorld(server, tmp_path, "away")
    port = free_port()
    try:
        world.start_worker("--health", f"127.0.0.1:{port}")
        await until(lambda: asked(port, "/live") == 200)
        assert asked(port, "/ready") == 503
        await until(lambda: "Trying again until it is there" in world.log())
        for words in (("run", hello(world)), ("runs", "list"), ("runs", "history", "x")):
            began = time.monotonic()
            refused = perdure(world, *words)
            assert refused.returncode == 1, refused.stderr
            assert refused.stderr.startswith(f"perdure: The Temporal server at {server.target} cannot be reached")
            assert time.monotonic() - began < 3 * slowness()
        await asyncio.to_thread(server.start)
        await until(lambda: asked(port, "/ready") == 200)

        path = hello(
            world, "  - e: {call: effect, with: {label: a}}\n  - w: {wait: {seconds: 4}}\n  - s: {set: {done: true}}\n"
        )
        command = [
            sys.executable,
            "-m",
            "perdure",
            "run",
            path,
            "--functions",
            str(Path(__file__).with_name("ledger_functions.py")),
        ]
        running = subprocess.Popen(command, env=world.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        await until(lambda: world.noted("effect"))
        server.kill()
        await asyncio.to_thread(server.start)
        out, err = await asyncio.to_thread(running.communicate)
        assert (running.returncode, out) == (0, b'{"done":true}\n'), err
        listed = perdure(world, "runs", "list")
        assert (listed.returncode, "completed" in listed.stdout) == (0, True)
        assert len(world.noted("effect")) == 1
    finally:
        world.close()
        server.stop()


def slowness() -> float:
    """How much longer than usual a process takes to begin here, at least 1: this machine may be busy."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import temporalio.worker, aiohttp"], check=True)
    return max(1.0, (time.monotonic() - began) / 0.7)


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"address": "127.0.0.1:99999"}, 2, "127.0.0.1:99999 is no address of a Temporal server"),
        ({"address": "nowhere.invalid:7233"}, 1, "The Temporal server at nowhere.invalid:7233 "),
        ({"namespace": "nope"}, 2, "has no namespace nope."),
        ({"keys": "abc"}, 2, "A key of PERDURE_TEMPORAL_KEYS is not 32 bytes in base64."),
    ],
)
def test_wrong_settings_are_told_in_one_sentence(world, settings, code, sentence):
    told = perdure(world, "runs", "list", **settings)
    assert told.returncode == code, told.stderr
    first, hint = told.stderr.splitlines()
    assert sentence in first
    assert hint.startswith("  ")
    assert told.stdout == ""


async def test_values_under_another_key_are_not_readable_and_nothing_breaks(world):
    world.more["PERDURE_TEMPORAL_KEYS"] = KEYS[0]
    world.start_worker()
    ran = perdure(world, "run", hello(world))
    assert (ran.returncode, ran.stdout) == (0, '{"x":1}\n'), ran.stderr
    assert "completed" in perdure(world, "runs", "list").stdout
    assert "completed" in perdure(world, "runs", "list", keys=",".join(reversed(KEYS))).stdout
    for keys in (KEYS[1], ""):
        told = perdure(world, "runs", "list", keys=keys)
        assert told.returncode == 1
        assert "A value is sealed with the key" in told.stderr
        assert "Name it in PERDURE_TEMPORAL_KEYS." in told.stderr


def test_without_the_extra_it_is_said_what_to_install(world):
    code = "import sys; sys.modules['temporalio'] = None; from perdure.cli.main import main; sys.exit(main())"
    for words in (["runs", "list"], ["worker"]):
        told = subprocess.run(
            [sys.executable, "-c", code, *words], env=world.environment() | {"PATH": os.environ["PATH"]},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert told.returncode == 2, told.stderr
        assert "pip install 'perdure[temporal]'" in told.stderr
