"""The local model as a port: finds its process in the data directory, starts it when there is none, asks it.

The process is not a child of ours: it lives through a kill of this process, and the next one finds it again.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from perdure.adapters.local_model_state import read_state
from perdure.adapters.local_model_weights import MISSING, is_installed
from perdure.adapters.openai import OpenAIModel
from perdure.ports.clock import Clock
from perdure.ports.egress import Egress, EgressFailed, EgressRefused
from perdure.ports.model import Answer, Chunk, ModelFailed, Request, Texts, Vectors

T = TypeVar("T")

_LONGEST_START = 90.0
_LONGEST_CHECK = 10.0


class LocalModel:
    """One local model for one data directory. `egress` must permit loopback; `file` names other weights (GGUF)."""

    def __init__(self, egress: Egress, clock: Clock, *, directory: Path, file: str = "", threads: int = 1) -> None:
        self._egress = egress
        self._clock = clock
        self._directory = directory
        self._file = file
        self._threads = threads
        self._starting = asyncio.Lock()
        self._endpoint: OpenAIModel | None = None

    async def ask(self, request: Request) -> Answer:
        """One request. Raises ModelFailed, `configuration` when engine or weights are not installed."""
        return await self._asked(lambda endpoint: endpoint.ask(request))

    async def _asked(self, attempt: Callable[[OpenAIModel], Awaitable[T]]) -> T:
        endpoint = self._endpoint or await self._find()
        try:
            return await attempt(endpoint)
        except ModelFailed as failed:
            if not _has_ended(failed):
                raise
        self._endpoint = None
        return await attempt(await self._find())

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """One request, its answer as it comes; one that is known by its key comes in one piece. Raises ModelFailed."""
        is_begun = False
        for is_last in (False, True):
            endpoint = self._endpoint or await self._find()
            try:
                async with contextlib.aclosing(endpoint.stream(request)) as chunks:
                    async for chunk in chunks:
                        is_begun = True
                        yield chunk
                return
            except ModelFailed as failed:
                if is_begun or is_last or not _has_ended(failed):
                    raise
            self._endpoint = None

    async def embed(self, texts: Texts) -> Vectors:
        """Vectors out of the same weights: enough to tell texts apart. Raises ModelFailed."""
        return await self._asked(lambda endpoint: endpoint.embed(texts))

    async def _find(self) -> OpenAIModel:
        async with self._starting:
            if self._endpoint is None:
                self._endpoint = await self._running() or await self._started()
            return self._endpoint

    async def _running(self) -> OpenAIModel | None:
        state = read_state(self._directory)
        if not state.get("token"):
            return None
        address, headers = f"http://127.0.0.1:{state['port']}", {"authorization": f"Bearer {state['token']}"}
        with contextlib.suppress(EgressFailed, EgressRefused):
            fits = state.get("weights") == self._file and state.get("threads") == self._threads
            verb, path = ("GET", "/health") if fits else ("POST", "/shutdown")
            response = await self._egress.request(verb, address + path, headers=headers, timeout=_LONGEST_CHECK)
            if fits and response.status == 200:
                return OpenAIModel(self._egress, self._clock, url=address, key=state["token"], model=state["model"])
        return None

    async def _started(self) -> OpenAIModel:
        if not is_installed(self._file):
            raise ModelFailed(MISSING, failure="configuration")
        line = await asyncio.to_thread(self._start)
        told = msgspec.json.decode(line) if line else {"error": "The local model could not be started."}
        if "error" in told:
            raise ModelFailed(told["error"], failure="configuration")
        endpoint = await self._running()
        if endpoint is None:
            raise ModelFailed(f"The local model ended at once; see {self._directory}.", failure="configuration")
        return endpoint

    def _start(self) -> bytes:
        command = [sys.executable, "-m", "perdure.adapters.local_model", "--background"]
        command += ["--directory", str(self._directory), "--weights", self._file, "--threads", str(self._threads)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST_START, check=False
        )
        return done.stdout.splitlines()[0] if done.stdout else b""

    def __repr__(self) -> str:
        return f"LocalModel({self._directory}, {'found' if self._endpoint else 'not asked yet'})"


def _has_ended(failed: ModelFailed) -> bool:
    """Whether the process has ended since (idle, or killed): it is started again and asked with the same key."""
    return failed.status == 401 or (failed.status is None and failed.failure == "communication")
