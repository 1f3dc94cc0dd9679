"""Runs that never change again are kept within some bytes."""

import msgspec

from perdure.engines.embedded.views import Ended
from perdure.ports.engine import Run


def run(id, status="completed", output=None):
    return Run(
        id=id, tenant="t", namespace="n", name="w", version="1.0.0", program="p", status=status, started=1, updated=2,
        ended=3, output=output,
    )  # fmt: skip


def test_what_ended_for_good_is_kept_for_its_tenant():
    ended = Ended()
    ended.keep("t", run("a"))
    assert ended.get("t", "a") == run("a")
    assert ended.get("u", "a") is None


def test_what_may_change_is_not_kept():
    ended = Ended()
    for status in ("faulted", "running", "waiting", "suspended", "pending"):
        ended.keep("t", run("a", status))
    assert ended.get("t", "a") is None


def test_the_oldest_go_and_the_large_do_not_come():
    ended = Ended(64_000)
    ended.keep("t", run("large", output="x" * 4_000))
    assert ended.get("t", "large") is None
    for number in range(100):
        ended.keep("t", run(str(number)))
    assert ended.get("t", "0") is None
    assert ended.get("t", "99") == msgspec.structs.replace(run("99"))
    assert "bytes=6" in repr(ended)
