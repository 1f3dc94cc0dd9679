"""What was measured, as text: medians, and the spread of the rounds' medians; ratios are taken round by round."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rounds import AT_ONCE, BRANCHES
from temporal import ROLES

STEPS_OF_FAN40 = BRANCHES * AT_ONCE
HEAD = """# Benchmarks

Written by `make bench`, newest first; earlier runs are kept. W10: one run of ten sequential calls that do nothing. FAN40: ten runs at once of
forty parallel calls that do nothing. All contenders took turns in the same run on the same machine and disk. A figure is the median of the
rounds' medians, in brackets the lowest and highest of them. A ratio is taken round by round. The machine is shared: trust ratios, not milliseconds.
"""


class Measured(msgspec.Struct, frozen=True):
    """The rounds of one contender: workload -> for each round its seconds."""

    name: str
    version: str
    durability: str
    rounds: dict[str, list[list[float]]]

    def medians(self, workload: str) -> list[float]:
        """One median for each round."""
        return [median(taken) for taken in self.rounds.get(workload, [])]


def write(
    measured: list[Measured], questions: dict[str, Any], missing: list[str], where: str, path: Path | None
) -> str:
    """The section of this run; it is put on top of the file, if there is one."""
    lines = [f"## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "", where, ""]
    lines += [*_table(measured), "", *_floor(questions["floor"]), *_recovery(questions["recovery"]), ""]
    lines += [*_flatness(questions["flatness"]), "", *_startup(questions["startup"]), ""]
    lines += [*_edge(questions["edge"]), ""]
    lines += [*gateway(questions["gateway"]), ""]
    lines += [*_temporal(questions["temporal"]), ""]
    lines += [f"- Missing: {line}" for line in missing]
    section = "\n".join(lines).rstrip() + "\n"
    if path is not None:
        earlier = path.read_text().removeprefix(HEAD).lstrip() if path.exists() else ""
        path.write_text(f"{HEAD}\n{section}" + (f"\n{earlier}" if earlier else ""))
    return section


def machine(folder: Path) -> str:
    """The machine in one line, without its name."""
    model = next(
        (line.split(":")[1].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    memory = int(next((line.split()[1] for line in _read("/proc/meminfo").splitlines() if "MemTotal" in line), "0"))
    system = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True).stdout.strip()
    return (
        f"{os.cpu_count()} cores ({model or 'unknown'}), {memory // 1_000_000} GB, {platform.system()} "
        f"{platform.release().split('-')[0]}, {system or 'unknown'} file system, Python {sys.version.split()[0]}"
    )


def _table(measured: list[Measured]) -> list[str]:
    ours = measured[0]
    lines = [
        "| contender | W10, ms | slower than Perdure | FAN40, steps/s | Perdure is so many times faster | durability |",
        "|---|---|---|---|---|---|",
    ]
    for other in measured:
        w10, fan = other.medians("w10"), other.medians("fan40")
        steps = [STEPS_OF_FAN40 / seconds for seconds in fan]
        lines.append(
            f"| {other.name} ({other.version}) | {_spread([1000 * s for s in w10], 1)} "
            f"| {_ratio(w10, ours.medians('w10'))} | {_spread(steps, 0) if steps else '-'} "
            f"| {_ratio(fan, ours.medians('fan40')) if fan else '-'} | {other.durability} |"
        )
    return lines


def _floor(taken: dict[str, list[float]]) -> list[str]:
    order = sorted(range(len(taken["perdure"])), key=lambda number: sum(rounds[number] for rounds in taken.values()))
    calm = order[: len(order) // 4]
    lines = []
    for ours, what in (
        ("perdure", "W10 of calls that may change something"),
        ("reads", "W10 of calls that are declared to read"),
        ("journal", "What W10 commits, by our journal, and nothing else"),
        ("machine", "The same with the machine that decides between the commits, and nothing else"),
    ):
        for theirs, log in (
            ("overwriting", "on a log that is written over"),
            ("growing", "on the growing log of a new file"),
            ("default", "with no setting changed (rollback journal, synchronous=FULL)"),
        ):
            ratios = [our / their for our, their in zip(taken[ours], taken[theirs], strict=True)]
            low, middle, high = (sorted(ratios)[len(ratios) * part // 4] for part in (1, 2, 3))
            lines.append(
                f"- {what} ({median(taken[ours]):.2f} ms) against ten bare durable commits of SQLite {log} "
                f"({median(taken[theirs]):.2f} ms), turn by turn in one process, {len(ratios)} rounds: {middle:.2f} times "
                f"(quartiles {low:.2f}-{high:.2f}), in the calmest quarter of the rounds "
                f"{median(ratios[number] for number in calm):.2f} times"
            )
    return lines


def _recovery(found: dict[str, float]) -> list[str]:
    cut = f"- Recovery of {found['runs']:,.0f} runs cut by SIGKILL in a call: every call is being made again after "
    return [f"{cut}{found['calling']:.2f} s, every run has completed after {found['completed']:.2f} s"]


def _flatness(rows: list[dict[str, float]]) -> list[str]:
    lines = [
        "| calls in one run | microseconds a step, durable | of them CPU | microseconds a step, machine alone |",
        "|---|---|---|---|",
    ]
    return lines + [
        f"| {row['steps']:,} | {row['microseconds']:.0f} | {row['cpu']:.0f} | {row['machine']:.1f} |" for row in rows
    ]


def _startup(rows: dict[str, dict[str, list[float]]]) -> list[str]:
    lines = ["| start | CPU, ms | wall, ms | peak, MB |", "|---|---|---|---|"]
    for name, columns in rows.items():
        cpu, seconds = ([1000 * value for value in columns[key]] for key in ("cpu", "seconds"))
        lines.append(f"| `{name}` | {_spread(cpu, 0)} | {_spread(seconds, 0)} | {_spread(columns['megabytes'], 0)} |")
    return lines


_REQUESTS = {
    "post": "start a run, durable before the answer",
    "get": "read a run that has ended",
    "get live": "read a run that waits",
}


def _edge(found: dict[str, Any]) -> list[str]:
    """Requests at `perdure up` over those at a bare FastAPI."""
    lines = [
        "One process of `perdure up` against a bare FastAPI with one SQLite insert (WAL, synchronous=FULL) or read.",
        "By CPU: how many requests each answers with the same processor time.",
        "",
        "| request | at once | Perdure, a second | p99, ms | CPU, ms | bare, a second | p99, ms | CPU, ms | Perdure's rate against it | and by CPU |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for what, name in _REQUESTS.items():
        for at_once, rounds in found[what].items():
            figures = [
                _spread([one[key] for one in rounds[who]], digits)
                for who in ("perdure", "bare")
                for key, digits in (("rate", 0), ("p99", 1), ("cpu", 3))
            ]
            figures += [
                _ratio([one["rate"] for one in rounds["perdure"]], [one["rate"] for one in rounds["bare"]]),
                _ratio([one["cpu"] for one in rounds["bare"]], [one["cpu"] for one in rounds["perdure"]]),
            ]
            lines.append(f"| {name} | {at_once} | {' | '.join(figures)} |")
    streams = found["streams"]
    memory = f"{streams['before']:.0f} MB before, {streams['during']:.0f} MB with them"
    return [*lines, "", f"- {streams['streams']:,} open event streams: {memory}"]


def _temporal(servers: dict[str, dict[str, dict[str, list[float]]]]) -> list[str]:
    """Perdure over a workflow by hand, on each server."""
    if not servers:
        return []
    lines = [
        "W10 on a Temporal development server (SQLite, WAL, synchronous=FULL); CPU is that of worker and client.",
        "",
        "| the server | contender | W10, ms | CPU a step, ms | Perdure's time against it | Perdure's CPU against it |",
        "|---|---|---|---|---|---|",
    ]
    for server, contenders in servers.items():
        ours = contenders["perdure"]
        for role, found in contenders.items():
            ratios = [_ratio(ours[column], found[column]) if found is not ours else "" for column in found]
            spreads = f"{_spread(found['milliseconds'], 1)} | {_spread(found['cpu'], 2)}"
            lines.append(f"| {server} | {ROLES[role]} | {spreads} | {' | '.join(ratios)} |")
    return lines


def gateway(found: dict[str, Any]) -> list[str]:
    """What the model gateway adds, beside LiteLLM's proxy."""
    versions = found["versions"]
    theirs = versions.get("litellm", "(not measured)")
    intro = (
        f"Requests to a model that answers at once: without a gateway, through Perdure {versions['perdure']}, through "
        f"LiteLLM's proxy {theirs}; one process each. Perdure records what each request cost, LiteLLM has no database."
    )
    head = (
        "| at once | gateway | requests/s | added to the median, ms | added to the 99th percentile, ms "
        "| Perdure's requests/s against it | its added median against Perdure's | and 99th percentile |"
    )
    lines = [intro, "", head, "|---|---|---|---|---|---|---|---|"]
    for at_once, rounds in found["rounds"].items():
        columns = {name: {key: [one[key] for one in taken] for key in taken[0]} for name, taken in rounds.items()}
        bare, ours = columns.pop("direct"), columns["perdure"]
        lines.append(f"| {at_once} | none | {_spread(bare['rate'], 0)} | | | | | |")
        mine = {key: _added(ours[key], bare[key]) for key in ("p50", "p99")}
        for name, taken in columns.items():
            added = {key: _added(taken[key], bare[key]) for key in ("p50", "p99")}
            told = [_spread(taken["rate"], 0), _spread(added["p50"], 2), _spread(added["p99"], 2)]
            if name != "perdure":
                told += [_ratio(ours["rate"], taken["rate"])]
                told += [_ratio(added[key], mine[key]) for key in ("p50", "p99")]
            lines.append(f"| {at_once} | {name} | {' | '.join(told + [''] * (6 - len(told)))} |")
    return lines


def _added(taken: list[float], bare: list[float]) -> list[float]:
    """Milliseconds, at least a microsecond: on a busy machine a round without a gateway may be the slower one."""
    return [max(0.001, one - other) for one, other in zip(taken, bare, strict=True)]


def _ratio(theirs: list[float], ours: list[float]) -> str:
    return _spread([their / our for their, our in zip(theirs, ours, strict=True)], 2) + " times"


def _spread(values: list[float], digits: int) -> str:
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
