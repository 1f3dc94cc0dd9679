"""A platform that is killed while its schedules fire: every time comes due once, and is one run."""

import random
import time

import pytest

from perdure.client import runs, schedules, workflows
from tests.system.platform_process import PlatformProcess
from tests.system.test_cli_kill import until

HELLO = b"""
document: { dsl: 1.0.3, namespace: default, name: hello, version: 1.0.0 }
do:
  - greet: { set: { greeting: '${ "Hello " + .name }' } }
"""
KILLS = 4
LEASE = 21
"""What a firing that was cut off waits for, in seconds: it is somebody's for that long."""


@pytest.mark.slow
def test_every_time_is_one_run(tmp_path, took_part):
    took_part(f"perdure up, killed {KILLS} times")
    chance = random.Random(7)
    platform = PlatformProcess(tmp_path)
    try:
        platform.up()
        key = platform.key
        with platform.client(key) as client:
            client.do(workflows.publish(HELLO))
            made = client.do(
                schedules.create(
                    "default.hello", every="PT1S", input={"name": "x"}, overlap="allow", catch_up="all"
                )
            )  # fmt: skip
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.9, 1.6))
            platform.kill()
            platform.up()
        with platform.client(key) as client:
            client.do(schedules.pause(made.id))
            until(lambda: all(one.state == "started" for one in fired(client, made.id)), LEASE + 20)
            times = fired(client, made.id)
            assert len({one.due for one in times}) == len(times) >= KILLS
            found = client.do(runs.find(workflow="default.hello", limit=200)).items
            assert sorted(run.id for run in found) == sorted(one.run for one in times)
            until(lambda: all(client.do(runs.get(run.id)).status == "completed" for run in found))
            numbers = sorted(int(one.due[17:19]) + 60 * int(one.due[14:16]) for one in times)
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] == 0, "a time was lost"
    finally:
        platform.kill()


def fired(client, schedule):
    return client.do(schedules.firings(schedule, limit=200)).items
