"""A small language model in a process of its own: `python -m perdure.adapters.local_model --directory DIR`.

It outlives a killed engine and is found again by its state file in DIR; a lock there lets only one run. It ends when
told (SIGTERM, POST /shutdown) and when nobody asks for a while, so it never stays for ever.
"""

import argparse
import fcntl
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from perdure.adapters import local_model_tools
from perdure.adapters.local_model_answers import Answers, Compute, Ledger
from perdure.adapters.local_model_server import Server
from perdure.adapters.local_model_state import STATE, read_state, write_state
from perdure.adapters.local_model_weights import MISSING, load, load_embeddings, weights

LOCK = "model.lock"
LOG = "model.log"
_LONGEST_START = 60.0

Report = Callable[[dict[str, Any]], None]


def main(arguments: list[str]) -> int:
    """Serve until told to stop; with `--background` return as soon as the server in the background is ready.

    The first line on standard output is JSON: `{"port", "pid", "model"}`, or `{"error": sentence}` with exit 1.
    """
    options = _parser().parse_args(arguments)
    directory: Path = options.directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.background:
        return _in_background(options, directory)
    return _serve(options, directory, _to_stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perdure.adapters.local_model", description="A small local model as a server."
    )
    parser.add_argument("--directory", type=Path, required=True, help="where state, lock and log are kept")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--weights", default="", help="GGUF file; without it those of the extra `local`")
    parser.add_argument("--threads", type=int, default=1, help="more than one helps only on a quiet machine")
    parser.add_argument("--idle", type=float, default=600.0, help="end after so many seconds without a request")
    parser.add_argument("--ledger", type=Path, help="append a JSON line for each computation to this file")
    parser.add_argument("--background", action="store_true", help="return when the server is ready")
    return parser


def _in_background(options: argparse.Namespace, directory: Path) -> int:
    """Fork before anything heavy is loaded: the child is nobody's child when this process has ended."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        os.setsid()
        log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            return _serve(options, directory, lambda told: _tell(pipe, told))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        line = pipe.readline()
    told = msgspec.json.decode(line) if line else {"error": f"The local model ended at once; see {directory / LOG}."}
    _to_stdout(told)
    return 1 if "error" in told else 0


def _serve(options: argparse.Namespace, directory: Path, report: Report) -> int:
    with (directory / LOCK).open("ab") as lock:
        state = directory / STATE
        other = _take(lock.fileno(), state)
        if other is not None:
            report(other)
            return 0
        try:
            path = weights(options.weights)
            loaded = load(path, threads=options.threads)
        except (FileNotFoundError, ImportError) as error:
            report({"error": str(error) if isinstance(error, FileNotFoundError) else MISSING})
            return 1
        except RuntimeError as error:
            report({"error": f"The weights {path} cannot be loaded: {error}."})
            return 1
        ledger = Ledger(options.ledger)
        streamed = local_model_tools.streamed(loaded.whole, loaded.streamed)
        answers = Answers(local_model_tools.whole(loaded.whole), ledger, streamed)
        token = secrets.token_urlsafe(32)
        with Server(options.port, answers, token=token, model=path.stem, idle=options.idle) as server:
            shown = {"port": server.server_port, "pid": os.getpid(), "model": path.stem}
            kept = {**shown, "token": token, "weights": options.weights, "threads": options.threads}
            write_state(directory, kept)
            # First the state, then (by ending) the lock: who waits for the lock never meets a state that is over.
            server.embed = _embeddings(path, options.threads)
            server.on_stop = lambda: state.unlink(missing_ok=True)
            signal.signal(signal.SIGTERM, lambda *_: server.stop())
            signal.signal(signal.SIGINT, lambda *_: server.stop())
            report(shown)
            server.serve_forever()
        ledger.close()
    return 0


def _embeddings(path: Path, threads: int) -> Compute:
    """Makes vectors; what that takes is loaded at the first use, which is one at a time (`Answers.vectors`)."""
    loaded: list[Compute] = []

    def compute(request: dict[str, Any]) -> dict[str, Any]:
        if not loaded:
            loaded.append(load_embeddings(path, threads=threads))
        return loaded[0](request)

    return compute


def _take(lock: int, state: Path) -> dict[str, Any] | None:
    """Take the lock, or give what the process that holds it wrote once it is ready."""
    ends = time.monotonic() + _LONGEST_START
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if state.exists():
                return {
                    key: value for key, value in read_state(state.parent).items() if key in {"port", "pid", "model"}
                }
            if time.monotonic() > ends:
                return {"error": f"Another local model holds {state.parent / LOCK} and does not get ready."}
            time.sleep(0.05)
        else:
            state.unlink(missing_ok=True)
            return None


def _to_stdout(told: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


def _tell(pipe: Any, told: dict[str, Any]) -> None:
    pipe.write(msgspec.json.encode(told) + b"\n")
    pipe.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
