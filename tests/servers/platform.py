"""The whole platform as a process of its own on a free port: what `perdure up` serves, with limits out of the way.

`python -m tests.servers.platform DIRECTORY` prints one line of JSON (address, owner key) and serves until SIGTERM.
"""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import template

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 60


class Answer(NamedTuple):
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


class Served:
    """A running platform, and one connection to it."""

    def __init__(self, process: template.Forked, address: str, key: str, log: Path) -> None:
        self.process = process
        self.address = address
        self.key = key
        self.log = log
        self._connection: http.client.HTTPConnection | None = None

    def __repr__(self) -> str:
        return f"Served({self.address}, pid {self.process.pid})"

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "",
        json: Any = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request. `key` is the owner's when it is empty, and none when it is None."""
        given = {} if key is None else {"x-api-key": key or self.key}
        if json is not None:
            body = _encoded(json)
            given["content-type"] = "application/json"
        given |= headers or {}
        for last in (False, True):
            connection = self._connection or http.client.HTTPConnection(
                self.address.removeprefix("http://"), timeout=30
            )
            self._connection = connection
            try:
                connection.request(method, path, body, given)
                answer = connection.getresponse()
                content = answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                self._connection = None
                if last:
                    raise
                continue
            if answer.will_close:
                connection.close()
                self._connection = None
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
        raise AssertionError

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def platform(directory: Path, **settings: str) -> Iterator[Served]:
    """A new platform on a directory, ended by SIGTERM."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log.jsonl"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "COV"))}
    with log.open("w") as errors:
        process = template.start(
            "tests.servers.platform", str(directory / "data"), cwd=ROOT, stdout=subprocess.PIPE, stderr=errors,
            env={**environment, **{f"PERDURE_{name.upper()}": value for name, value in settings.items()}},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()[-4000:]
        told = json.loads(line)
        served = Served(process, told["address"], told["key"], log)
        yield served
        served.close()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


async def serving(directory: Path) -> None:
    """What the process does."""
    from perdure import settings
    from perdure.gateway import rules
    from perdure.gateway.server import Place
    from perdure.platform import process
    from perdure.platform.serving import serve

    # Thousands of requests of one key in a minute are the point of these tests.
    rules.RATES.update({name: rules.Rate(10**9) for name in rules.RATES})
    chosen = settings.read(os.environ)

    def ready(address: str, key: str | None) -> None:
        print(json.dumps({"address": address, "key": key}), flush=True)

    await serve(lambda: process.opened(directory, chosen), Place(port=0, drain=5), chosen, ready=ready)


if __name__ == "__main__":
    asyncio.run(serving(Path(sys.argv[1])))
