"""What a document costs on Temporal, against the same ten calls as a workflow by hand, on one server, round by round.

`python temporal.py FOLDER` prints {server: {contender: {"milliseconds": [...], "cpu": [...]}}}: of each round the median of a
run's duration, and milliseconds of CPU (worker and client) a step. The development server looks for new tasks 20 times a
second for each shard and has one shard, which hides what differs: it is measured as it comes, and without that limit.
"""

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from contenders import Child, Contender
from rounds import CALLS

AS_IT_COMES, UNLIMITED = "as it comes", "without its limit of 20 looks a second"
UNLIMITED_BY = [
    word
    for queue in ("transfer", "timer", "visibility")
    for word in ("--dynamic-config-value", f"history.{queue}ProcessorMaxPollRPS=100000")
]
ROLES = {
    "perdure": "Perdure on Temporal",
    "hand": "a workflow by hand, as the SDK runs it",
    "plain": "the same without the SDK's sandbox",
}
PLAN = {AS_IT_COMES: ([], 5, 4), UNLIMITED: (UNLIMITED_BY, 9, 10)}
"""Server -> more arguments, rounds, runs of a contender in a round."""


def is_installed() -> bool:
    """Whether there is a server and its library."""
    return _program().exists() and importlib.util.find_spec("temporalio") is not None


def main(folder: Path) -> None:
    found = {}
    for number, (server, (arguments, rounds, times)) in enumerate(PLAN.items()):
        place = folder / f"server{number}"
        place.mkdir()
        found[server] = on_server(place, arguments, rounds, times)
    print(json.dumps(found))


def on_server(folder: Path, arguments: list[str], rounds: int, times: int) -> dict[str, dict[str, list[float]]]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port = made.getsockname()[1]
    command = [
        str(_program()), "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port),
        "--db-filename", str(folder / "temporal.db"), "--log-level", "error",
        "--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL", *arguments,
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: dict[str, Child] = {}
    try:
        target = f"127.0.0.1:{port}"
        asyncio.run(_answers(target))
        for role in ROLES:
            program = [sys.executable, "temporal_contenders.py", role, target]
            children[role] = Child(Contender(role, program), folder / role)
        return take_turns(children, rounds, times)
    finally:
        for child in children.values():
            child.close()
        server.kill()
        server.wait()


def take_turns(children: dict[str, Child], rounds: int, times: int) -> dict[str, dict[str, list[float]]]:
    """The first turn of each only warms up."""
    for child in children.values():
        child.take("w10", 5)
    found: dict[str, dict[str, list[float]]] = {role: {"milliseconds": [], "cpu": []} for role in children}
    order = list(children)
    for _ in range(rounds):
        for role in order:
            taken: Any = children[role].take("w10", times)
            found[role]["milliseconds"].append(1000 * median(taken["seconds"]))
            found[role]["cpu"].append(1000 * taken["cpu"] / times / CALLS)
        order.append(order.pop(0))
    return found


async def _answers(target: str) -> None:
    from temporalio.client import Client  # with `is_installed` only

    for _ in range(300):
        try:
            await Client.connect(target)
        except RuntimeError:
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit("the Temporal server did not come up in 30 s")


def _program() -> Path:
    return Path(sys.executable).parent / "temporal"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
