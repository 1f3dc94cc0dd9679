"""The walk of the README from Python: publish, let a schedule and a webhook start runs, answer what one of them asks.

It speaks to the server in PERDURE_SERVER with the key in PERDURE_API_KEY, and prints the outputs of the runs.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from send import send

from perdure.client import Client, inbox, runs, schedules, webhooks, workflows
from perdure.client.call import PREFIX

HERE = Path(__file__).parent
EXPENSES = ({"who": "Ana", "amount": 10}, {"who": "Ben", "amount": 120})


def main() -> None:
    """Walk."""
    server = os.environ["PERDURE_SERVER"]
    with Client(server, os.environ["PERDURE_API_KEY"]) as client:
        for name in ("workflow.yaml", "reminder.yaml"):
            client.do(workflows.publish((HERE / name).read_bytes()))
        print(json.dumps([reminded(client), *paid(client, server)]))


def reminded(client: Client) -> Any:
    """What a schedule started, once it came due."""
    schedule = client.do(schedules.create("examples.reminder", every="PT1S", input={"week": "week 9"}))
    until(lambda: [one for one in client.do(schedules.firings(schedule.id)).items if one.state == "started"])
    client.do(schedules.delete(schedule.id))
    return ended(client, client.do(runs.find(workflow="examples.reminder")).items[0].id).output


def paid(client: Client, server: str) -> list[Any]:
    """Two expenses that a webhook brings: a small one, and one that a person is asked about."""
    hook = client.do(webhooks.create("Expenses", workflow="examples.expense"))
    address = server + PREFIX + hook.webhook.address
    outputs = []
    for number, expense in enumerate(EXPENSES):
        body = json.dumps(expense).encode()
        run = json.loads(send(address, hook.secret, body, f"expense-{number}"))["run"]
        if number == 1:
            until(lambda run=run: client.do(inbox.find(run=run)).items)
            item = client.do(inbox.find(run=run)).items[0]
            client.do(inbox.decide(item.id, item.hash, approved=True, reason="fine"))
        outputs.append(ended(client, run).output)
    return outputs


def ended(client: Client, run: str) -> runs.Run:
    """The run, once it is over."""
    for _ in client.stream(runs.follow(run)):
        pass
    return client.do(runs.get(run))


def until(true: Callable[[], Any]) -> None:
    """Wait for something that the server does."""
    while not true():
        time.sleep(0.1)


if __name__ == "__main__":
    main()
