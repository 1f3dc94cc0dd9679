"""What requests cost is recorded once, whatever becomes of the process and of the database."""

import asyncio
import logging

import pytest

from perdure.adapters.file_spool import FileSpool
from perdure.services.agents.bills import Bills
from perdure.services.agents.models import Usage


def bill(call, tenant="a"):
    return Usage(tenant=tenant, call=call, at=1, day="2026-01-01", model="m", input=3, cost=7, price={"input": 1})


class Rows:
    """What was recorded; refuses, or breaks, as long as it is told to."""

    def __init__(self):
        self.found, self.rounds = {}, 0
        self.refuses = self.breaks = False

    async def record(self, tenant, rows):
        await asyncio.sleep(0)
        self.rounds += 1
        if self.breaks:
            raise RuntimeError("broken")
        if not self.refuses:
            self.found.update({one.call: one for one in rows})
        return not self.refuses


@pytest.fixture
def rows():
    return Rows()


@pytest.fixture(params=["kept", "in memory"])
def spool(request, tmp_path):
    return FileSpool(tmp_path) if request.param == "kept" else None


async def test_they_are_recorded_together_a_moment_later(rows, spool):
    bills = Bills(rows.record, spool)
    for number in range(3):
        bills.add(bill(str(number)))
    assert rows.found == {}
    await asyncio.gather(*bills._tasks)
    assert (sorted(rows.found), rows.rounds) == (["0", "1", "2"], 1)
    bills.add(bill("3"))
    await bills.close()
    assert rows.found["3"] == bill("3")


async def test_who_asks_sees_what_was_added_before(rows, spool):
    bills = Bills(rows.record, spool)
    bills.add(bill("0"))
    bills.add(bill("1", "b"))
    await asyncio.gather(bills.settled(), bills.settled())
    assert (sorted(rows.found), rows.rounds) == (["0", "1"], 2)
    await bills.settled()
    await bills.close()
    assert rows.rounds == 2


@pytest.mark.parametrize("how", ["refuses", "breaks"])
async def test_what_cannot_be_recorded_is_left_to_the_next_process_and_holds_nothing_up(rows, tmp_path, how):
    bills = Bills(rows.record, FileSpool(tmp_path))
    setattr(rows, how, True)
    bills.add(bill("0"))
    await bills.settled()
    setattr(rows, how, False)
    bills.add(bill("1"))
    await bills.close()
    assert sorted(rows.found) == ["1"]
    after = Bills(rows.record, FileSpool(tmp_path))
    await after.restore()
    assert rows.found["0"] == bill("0")
    await after.close()
    assert list(tmp_path.iterdir()) == []


async def test_lines_that_are_no_bills_are_passed_over(rows, tmp_path, caplog):
    spool = FileSpool(tmp_path)
    bills = Bills(rows.record, spool)
    spool.put(b"\0\0\0")
    bills.add(bill("0"))
    spool.put(b'{"tenant": "a", "call":')
    spool.turn().leave()
    after = Bills(rows.record, FileSpool(tmp_path))
    with caplog.at_level(logging.WARNING, "perdure.agents"):
        await after.restore()
    assert sorted(rows.found) == ["0"]
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "A line that a killed process left is no bill"
    ] * 2
    await bills.close()
    await after.close()


async def test_a_full_disk_under_the_spool_loses_no_bill_while_the_process_lives(rows, caplog):
    class Full:
        def put(self, line):
            raise OSError(28, "No space left on device")

        def turn(self):
            return self

        def drop(self):
            pass

        def close(self):
            pass

    bills = Bills(rows.record, Full())
    with caplog.at_level(logging.WARNING, "perdure.agents"):
        bills.add(bill("0"))
    await bills.close()
    assert (list(rows.found), len(caplog.records)) == (["0"], 1)
