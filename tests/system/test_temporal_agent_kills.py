"""An agent on a Temporal server whose worker is killed at every index of its history; a new worker goes on.

The agent calls two tools and a sub-agent side by side, and has an unsafe tool approved. A provider that counts sees exactly
the requests of a run that nobody kills; no call whose answer is in the history is made again. With `PERDURE_KILLS=all` also
indices at which no history can end have a run of their own.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from typing import Any

import pytest

from perdure.interpreter.agent_tools import DECIDED, REQUESTED
from perdure.interpreter.commands import ScheduleCall
from tests.servers.temporal import TemporalServer
from tests.system import kill_agent
from tests.system.kill_agent import RUN, TENANT, Ledger
from tests.system.program import ROOT

AT_ONCE = 12
"""Runs under way: they mostly wait for the server to give up a worker that is dead."""
PATIENCE = 90.0
REQUESTS = {"model": 5, "lookup": 3, "charge": 1}
ASKED = "activity_task_scheduled_event_attributes"
STARTED = "activity_task_started_event_attributes"
ANSWERED = "activity_task_completed_event_attributes"
IS_ALL = os.environ.get("PERDURE_KILLS") == "all"


class Forge:
    """The template process, which forks workers."""

    def __init__(self, folder: Any) -> None:
        with (folder / "workers.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.system.kill_agent"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._free = asyncio.Lock()

    async def fork(self, place: dict[str, Any]) -> "Worker":
        async with self._free:
            return Worker(await asyncio.wait_for(asyncio.to_thread(self._fork, place), PATIENCE))

    def _fork(self, place: dict[str, Any]) -> int:
        self._process.stdin.write(json.dumps(place) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()


class Worker:
    """One forked worker."""

    def __init__(self, pid: int) -> None:
        self._file = os.pidfd_open(pid)
        self.ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._file, self._end)

    def _end(self) -> None:
        if not self.ended.is_set():
            asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self.ended.set()

    async def kill(self) -> None:
        if not self.ended.is_set():
            signal.pidfd_send_signal(self._file, signal.SIGKILL)
        await self.ended.wait()


class Life:
    """One run, its worker killed at an index or never, and all that reached the outside."""

    def __init__(
        self, server: TemporalServer, forge: Forge, folder: Any, index: int = 0, *, late: bool = False
    ) -> None:
        self.index = index
        self.late = late
        self._forge = forge
        self.socket = f"{folder}/{index}{late}.sock"
        self._place = {
            "target": server.target, "folder": f"{folder}/store", "installation": f"killed-{uuid.uuid4()}",
            "socket": self.socket, "index": index, "late": late,
        }  # fmt: skip
        self.log: list[tuple[str, str, Any]] = []
        self.died_at = 0
        """Events of the history that the dead worker left."""
        self.again: list[tuple[str, str]] = []
        """What was called again although its answer was known."""
        self.was_cut = False
        """Whether the unsafe call had been made, and nobody knew."""
        self.decided = 0
        self.events: list[Any] = []
        self._cut_at = 0
        """The event that asked for that call."""
        self._known: set[str] = set()
        self._before = 0

    def __repr__(self) -> str:
        cut = f"cut, decided {self.decided} times" if self.was_cut else f"decided {self.decided} times"
        return (
            f"Life({self.index}{' late' if self.late else ''}, died at {self.died_at}, {cut}, {len(self.log)} requests)"
        )

    async def _note(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            name, key, what = json.loads(await reader.readline())
            self.log.append((name, key, json.dumps(what)))
            writer.write(b"done\n")
            await writer.drain()
        writer.close()

    async def live(self) -> None:
        """From its beginning to its end."""
        async with (
            await asyncio.start_unix_server(self._note, self.socket),
            kill_agent.engine(self._place, Ledger().table()) as engine,
        ):
            await engine.start(TENANT, kill_agent.document(), {}, run=RUN)
            worker = await self._forge.fork(self._place)
            others = asyncio.gather(self._approve(engine), self._end(engine))
            try:
                if self.index:
                    await asyncio.wait_for(worker.ended.wait(), PATIENCE)
                    await self._look(engine)
                    worker = await self._forge.fork(self._place | {"index": 0})
                await asyncio.wait_for(others, PATIENCE)
                self.events = await self._history(engine)
                self.was_cut = self.was_cut and not self._was_told()
            finally:
                others.cancel()
                await worker.kill()
        self.again = [(name, key) for name, key, _ in self.log[self._before :] if key in self._known]

    async def _history(self, engine: Any) -> list[Any]:
        handle = engine._reader.handle(TENANT, RUN)
        return [event async for event in handle.fetch_history_events()]

    async def _look(self, engine: Any) -> None:
        """What was known when the worker was dead: all that was called, but for the calls without an answer."""
        self._before = len(self.log)
        events = await self._history(engine)
        self.died_at = len(events)
        waiting: dict[int, str] = {}
        for event in events:
            if event.HasField(ASKED):
                asked = event.activity_task_scheduled_event_attributes
                if asked.activity_type.name == "perdure.call":
                    command = (await engine.client.data_converter.decode(asked.input.payloads[:1], [ScheduleCall]))[0]
                    waiting[event.event_id] = command.key
            elif event.HasField(ANSWERED):
                waiting.pop(event.activity_task_completed_event_attributes.scheduled_event_id, None)
        open_keys = set(waiting.values())
        self._known = {key for _, key, _ in self.log} - open_keys
        charges = {key for name, key, _ in self.log if name == "charge"}
        for self._cut_at in (asked_at for asked_at, key in waiting.items() if key in charges):
            self.was_cut = True

    def _was_told(self) -> bool:
        """Whether the server took the dead worker's answer after all: it had sent it, and the history did not show it yet."""
        answered = {getattr(event, ANSWERED).scheduled_event_id for event in self.events if event.HasField(ANSWERED)}
        firsts = [getattr(event, STARTED) for event in self.events if event.HasField(STARTED)]
        return (
            any(one.scheduled_event_id == self._cut_at and one.attempt == 1 for one in firsts)
            and self._cut_at in answered
        )

    async def _end(self, engine: Any) -> None:
        while (ended := await engine.wait(TENANT, RUN)).status == "faulted":
            assert (ended.error or {}).get("title") == "outcome unknown", (
                ended.error
            )  # a person looks it up and decides
            self.decided += 1
            await engine.retry(TENANT, RUN)
        assert (ended.status, ended.output) == ("completed", {"done": True}), ended.error

    async def _approve(self, engine: Any) -> None:
        """Say yes to the call that is asked about, once the event that asks has been told."""
        while True:
            async for event in engine._reader.handle(TENANT, RUN).fetch_history_events(wait_new_event=True):
                if event.HasField("external_workflow_execution_signaled_event_attributes"):
                    for entry in await engine.history(TENANT, RUN):
                        asked = entry.data.get("output")
                        if isinstance(asked, dict) and asked.get("type") == REQUESTED:
                            data = {"approved": True, "hash": asked["data"]["hash"]}
                            yes = {
                                "id": "yes",
                                "source": "/test",
                                "type": DECIDED,
                                "subject": asked["id"],
                                "data": data,
                            }
                            await engine.deliver(TENANT, yes)
                            return


def requests(life: Life) -> list[tuple[str, str, Any]]:
    """Each thing once, by its key."""
    return sorted(set(life.log))


def kills(whole: Life) -> list[tuple[int, bool]]:
    """Every index at which the history can end: what the server writes at once is one. And late, where calls were asked for."""
    early, late = [], []
    for event, next in itertools.pairwise(whole.events):
        if IS_ALL or not is_written_with(next):
            early.append((event.event_id, False))
        if event.HasField(ASKED) and (IS_ALL or not next.HasField(ASKED)):
            late.append((event.event_id, True))
    return early + late


def is_written_with(event: Any) -> bool:
    """Whether the server writes it together with the event before."""
    about = getattr(event, event.WhichOneof("attributes"))
    together = event.HasField("workflow_task_scheduled_event_attributes") or event.HasField(ANSWERED)
    return together or getattr(about, "workflow_task_completed_event_id", 0) > 0


@pytest.mark.slow
async def test_an_agent_killed_at_every_index_of_its_history(temporal_server, tmp_path, took_part):
    took_part("workers of a Temporal server, killed at every index of an agent's history")
    forge = Forge(tmp_path)
    with tempfile.TemporaryDirectory() as folder:  # a path of a socket is short
        try:
            whole = Life(temporal_server, forge, folder)
            await whole.live()
            counts = {name: sum(one == name for one, _, _ in whole.log) for name in REQUESTS}
            assert (counts, len(whole.log)) == (REQUESTS, len(requests(whole)))
            room = asyncio.Semaphore(AT_ONCE)

            async def live(life: Life) -> None:
                async with room:
                    await life.live()

            lives = [Life(temporal_server, forge, folder, index, late=late) for index, late in kills(whole)]
            async with asyncio.TaskGroup() as group:
                for life in lives:
                    group.create_task(live(life))
        finally:
            forge.close()
    for life in lives:
        assert life.died_at >= life.index, life
        assert requests(life) == requests(whole), life
        assert life.again == [], life
        charged = sum(name == "charge" for name, _, _ in life.log)
        assert (life.decided, charged) == (1, 2) if life.was_cut else life.decided <= 1 >= charged, life
    print(f"{len(whole.events)} events, {len(lives)} runs killed, {sum(life.decided for life in lives)} asked a person")
