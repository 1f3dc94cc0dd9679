"""The main job: an inbox is read by a model, checked by rules and paid back, while the process is killed in the middle.

    python examples/support-inbox/demo.py [FOLDER | FILE | -] [--no-kill] [--output FILE]

Three real processes take part: the shop (service.py), the model, and `perdure` itself, which is killed with SIGKILL
twice and started again. What the shop and the model wrote into their own ledgers shows whether anything was done twice.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import ledgers  # noqa: E402 - beside this file
from inbox_functions import read_messages  # noqa: E402

WORK = Path(".perdure/support-inbox")
RUN = "inbox"


class Unfit(Exception):
    """What was given does not fit, or something is missing: one sentence."""


class Place(NamedTuple):
    """Where this demonstration keeps its things. Nothing outside is touched."""

    work: Path

    @property
    def data(self) -> Path:
        return self.work / "data"

    @property
    def shop(self) -> Path:
        return self.work / "shop-ledger.jsonl"

    @property
    def output(self) -> Path:
        return self.work / "output.json"

    @property
    def model(self) -> Path:
        return self.work / "model-ledger.jsonl"


def main() -> int:
    """Exit codes: 0 all well, 1 the run failed or something happened twice, 2 what was given does not fit."""
    options = _options()
    # Told to go, it goes as after Ctrl-C: the shop, the model and the run are not left behind.
    for told in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(told) != signal.SIG_IGN:  # `nohup` wants it to go on
            signal.signal(told, signal.default_int_handler)
    try:
        return _demonstrate(options)
    except Unfit as unfit:
        print(f"support-inbox: {unfit}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nsupport-inbox: Interrupted.", file=sys.stderr)
        return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Read an inbox with a model, check it by rules, pay refunds back.")
    parser.add_argument(
        "source",
        nargs="?",
        default=str(HERE / "messages"),
        help="a folder of .txt files, one text file, or - for standard input",
    )
    parser.add_argument("--no-kill", action="store_true", help="run without killing anything")
    parser.add_argument("--orders", type=Path, default=HERE / "orders.json", help="the shop's orders (JSON)")
    parser.add_argument("--output", type=Path, default=None, help=f"result file (default: {WORK}/result.json)")
    parser.add_argument(
        "--work", type=Path, default=WORK, help=f"folder for journal and ledgers, emptied first (default: {WORK})"
    )
    return parser.parse_args()


def _demonstrate(options: argparse.Namespace) -> int:
    place = _fresh(options.work.absolute())
    source, count = _source(options.source, place)
    if not options.orders.is_file():
        raise Unfit(f"There is no file {options.orders} with orders.")
    _check_model()
    started = time.monotonic()
    with _shop(place, options.orders) as address, _model(place):
        input_ = place.work / "input.json"
        input_.write_text(json.dumps({"source": str(source), "shop": address}))
        _say(f"{ledgers.many(count, 'message')} from {options.source}; the shop answers at {address}")
        output, kills = _run(place, input_, count, kill=not options.no_kill)
        if output is None:
            return 1
        seconds = time.monotonic() - started
        target = options.output or place.work / "result.json"
        result = {"results": output["results"], "proof": ledgers.proof(place.model, place.shop, kills)}
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    ledgers.show(result, seconds)
    print(f"\nresult   {_short(target)}")
    print(f"history  {shlex.join(_perdure_shown(place, 'runs', 'history', RUN))}")
    return 0 if ledgers.is_clean(result["proof"]) else 1


def _fresh(work: Path) -> Place:
    place = Place(work)
    if work.exists():
        ours = {
            "data",
            "shop-ledger.jsonl",
            "model-ledger.jsonl",
            "input.json",
            "output.json",
            "result.json",
            "message.txt",
        }
        if not work.is_dir() or {entry.name for entry in work.iterdir()} - ours:
            raise Unfit(f"{work} holds other things; give another folder with --work.")
        shutil.rmtree(work)
    place.data.mkdir(parents=True)
    return place


def _source(given: str, place: Place) -> tuple[Path, int]:
    if given == "-":
        text = sys.stdin.read()
        if not text.strip():
            raise Unfit("Standard input is empty; give a folder, a file, or a text on standard input.")
        (place.work / "message.txt").write_text(text)
        given = str(place.work / "message.txt")
    path = Path(given).expanduser().absolute()
    try:
        return path, len(read_messages(str(path))["messages"])
    except (ValueError, OSError) as error:
        raise Unfit(str(error)) from None


def _check_model() -> None:
    from perdure.adapters.local_model_weights import is_installed

    if os.environ.get("PERDURE_MODEL_URL") or is_installed(os.environ.get("PERDURE_MODEL_FILE", "")):
        return
    raise Unfit(
        "There is no model. Run `make setup` with a network (it installs a small local one), or set PERDURE_MODEL_URL,"
        " PERDURE_MODEL_NAME and PERDURE_MODEL_KEY to use any OpenAI-compatible endpoint."
    )


@contextlib.contextmanager
def _shop(place: Place, orders: Path) -> Iterator[str]:
    command = [sys.executable, str(HERE / "service.py"), "--orders", str(orders), "--ledger", str(place.shop)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:
        try:
            port = shop.stdout.readline().strip()
            if not port:
                raise Unfit(f"The shop could not start with {orders}.")
            yield f"http://127.0.0.1:{port}"
        finally:
            shop.terminate()


@contextlib.contextmanager
def _model(place: Place) -> Iterator[None]:
    """The local model with a ledger, before anybody asks for it; with another endpoint there is nothing to start."""
    if os.environ.get("PERDURE_MODEL_URL"):
        yield
        return
    command = [
        sys.executable,
        "-m",
        "perdure.adapters.local_model",
        "--background",
        "--directory",
        str(place.data / "model"),
    ]
    command += ["--weights", os.environ.get("PERDURE_MODEL_FILE", ""), "--ledger", str(place.model)]
    command += ["--threads", os.environ.get("PERDURE_MODEL_THREADS", "1")]
    started = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    told = json.loads(started.stdout or "{}")
    if "port" not in told:
        raise Unfit(told.get("error", "The local model could not be started."))
    _say(f"the model {told['model']} is loaded (process {told['pid']})")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(told["pid"], signal.SIGTERM)


def _run(place: Place, input_: Path, count: int, *, kill: bool) -> tuple[dict | None, int]:
    """Drive the run to its end, killing it at the chosen moments. The output, and how often it was killed."""
    moments = _moments(place, count) if kill else []
    command = _perdure("run", str(HERE / "workflow.yaml"), "--input", f"@{input_}", "--run", RUN, place=place)
    kills = 0
    while True:
        with place.output.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, env=_environment())
            try:
                moment = _wait(process, moments)
            finally:
                _end(process)
        if moment is None:
            return (json.loads(place.output.read_bytes()) if process.returncode == 0 else None), kills
        kills += 1
        if sys.stderr.isatty():
            sys.stderr.write("\x1b[?25h\n")  # the killed process had hidden the cursor
        _say(f"KILLED (SIGKILL, process {process.pid}) {moment.when}; now it goes on")
        command = _perdure("runs", "resume", RUN, place=place)


def _moments(place: Place, count: int) -> list["ledgers.Moment"]:
    third = max(1, min(4, count // 3))
    return [
        ledgers.Moment("while the model was working on an answer", place.model, "started", third),
        ledgers.Moment("after a refund was made and before its answer came", place.shop, "refund", 2),
    ]


def _wait(process: subprocess.Popen, moments: list["ledgers.Moment"]) -> "ledgers.Moment | None":
    """Until the process ends (None), or until it was killed at one of the moments, which is then used up."""
    while process.poll() is None:
        for moment in moments:
            if moment.has_come():
                moments.remove(moment)
                process.send_signal(signal.SIGKILL)
                process.wait()
                return moment
        time.sleep(0.02)
    return None


def _end(process: subprocess.Popen) -> None:
    """Only when this demonstration itself is interrupted is there still something to end."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def _perdure(*words: str, place: Place) -> list[str]:
    functions = ["--functions", str(HERE / "inbox_functions.py")]
    return [sys.executable, "-m", "perdure", *words, "--data", str(place.data), *functions]


def _perdure_shown(place: Place, *words: str) -> list[str]:
    program = "perdure" if shutil.which("perdure") else _short(Path(sys.executable).parent / "perdure")
    return [program, *words, "--data", _short(place.data)]


def _environment() -> dict[str, str]:
    allowed = [*filter(None, [os.environ.get("PERDURE_EGRESS_ALLOW")]), "127.0.0.1"]
    return {**os.environ, "PERDURE_EGRESS_ALLOW": ",".join(allowed)}


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.absolute().relative_to(Path.cwd()))
    return str(path)


def _say(text: str) -> None:
    print(f"--- {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
