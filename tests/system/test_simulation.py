"""T3: thousands of seeds of a simulated world. PERDURE_SEEDS changes the figure (2,000), PERDURE_SEED runs one alone."""

import multiprocessing
import os
import shutil
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.system.simulated import simulate_all

SEEDS = int(os.environ.get("PERDURE_SEEDS", "2000"))
PROCESSES = 2
"""A seed is one process's business, and there are two cores at least."""
KINDS = {
    "reordered", "refused", "unreachable", "answer lost", "delay", "duplicate answer", "duplicate event", "power loss", "disk full",
    "clock jump", "suspended", "second process", "forgotten look",
}  # fmt: skip


@pytest.fixture
def folder():
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="perdure-", dir=place))
    yield made
    shutil.rmtree(made)


@pytest.mark.timeout(900)
def test_every_seed_keeps_the_promise(folder, took_part):
    took_part(f"simulated worlds, {SEEDS:,} seeds")
    seeds = [int(os.environ["PERDURE_SEED"])] if "PERDURE_SEED" in os.environ else range(SEEDS)
    shares = [seeds[number::PROCESSES] for number in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as processes:
        parts = list(processes.map(simulate_all, shares, (folder / f"{number}" for number in range(PROCESSES))))
    faults: Counter[str] = sum((part for part, _ in parts), Counter())
    virtual = sum(passed for _, passed in parts)
    print(f"\nT3: {len(seeds)} seeds, {virtual / 3600:,.0f} virtual hours, {dict(sorted(faults.items()))}")
    if len(seeds) >= 1000:
        assert set(faults) == KINDS
        assert min(faults.values()) >= len(seeds) // 50, faults
