"""A process that has loaded the program, and forks it: who is killed again and again is a real process of its own, with its
own directory, environment and session, and its start costs a moment instead of a second of imports.

For platforms and workers. Tests of the command line itself start `python -m perdure` as everybody does.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
LOADED = (
    "perdure.cli.up", "perdure.cli.serve", "perdure.cli.worker", "perdure.gateway.server", "perdure.platform.serving",
    "perdure.platform.process", "perdure.engines.temporal.engine", "perdure.engines.temporal.worker",
)  # fmt: skip
_MOST = 150_000
"""Bytes of what is asked for: one message of a socket."""


class Forked:
    """One program that runs; what `subprocess.Popen` has of it."""

    def __init__(self, pid: int, told: socket.socket, stdout: IO[str] | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._told = told

    def __repr__(self) -> str:
        return f"Forked({self.pid}, {self.returncode})"

    def poll(self) -> int | None:
        return self._code(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._code(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, how: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, how)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _code(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(64))
            except (BlockingIOError, TimeoutError):
                return None
            self._told.close()
        return self.returncode


def start(
    module: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    stdout: IO[Any] | int | None = None,
    stderr: IO[Any],
) -> Forked:
    """What `python -m MODULE ARGUMENTS` starts, in a session of its own; `stdout` as a Popen takes it, and by default `stderr`."""
    reading, writing = os.pipe() if stdout == subprocess.PIPE else (-1, (stdout or stderr).fileno())
    told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    wanted = json.dumps({"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
    with telling:
        socket.send_fds(_template(), [wanted], [writing, stderr.fileno(), telling.fileno()])
    if reading >= 0:
        os.close(writing)
    return Forked(int(told.recv(64)), told, os.fdopen(reading) if reading >= 0 else None)


@functools.cache
def _template() -> socket.socket:
    """Where the template of this session is asked; it ends with the session."""
    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PERDURE_", "COV"))}
    with asked:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.template", str(asked.fileno())],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, pass_fds=[asked.fileno()],
        )  # fmt: skip

    def end() -> None:
        asking.close()
        process.wait()

    atexit.register(end)
    return asking


# In the template


def main() -> None:
    asked = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for the programs
    for name in LOADED:
        with contextlib.suppress(ImportError):  # who needs it says so
            importlib.import_module(name)
    gc.freeze()  # memory that nobody looks through stays shared
    while True:
        wanted, given, _, _ = socket.recv_fds(asked, _MOST, 3)
        if not wanted:
            return
        if os.fork() == 0:
            asked.close()
            _keep(json.loads(wanted), *given)
            return
        for file in given:
            os.close(file)


def _keep(wanted: dict[str, Any], output: int, errors: int, telling: int) -> None:
    """Start the program and tell its id and how it ended; in the program itself, be it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(telling)
        _become(wanted, output, errors)
        return
    os.close(output)
    os.close(errors)
    with socket.socket(fileno=telling) as told:
        told.send(str(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        told.send(str(code).encode())
    os._exit(0)


def _become(wanted: dict[str, Any], output: int, errors: int) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for file, place in ((output, 1), (errors, 2)):
        os.dup2(file, place)
        os.close(file)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.path[:1] = [wanted["cwd"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [wanted["module"], *wanted["arguments"]]
    runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
