"""What the shop and the model wrote down by themselves: counted, shown, and watched for the moment of a kill."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Moment:
    """The moment when a ledger holds so many lines of one event."""

    when: str
    ledger: Path
    event: str
    times: int

    def has_come(self) -> bool:
        """Whether it has come; the last line must be that event, so that what it began is still under way."""
        lines = read(self.ledger)
        return bool(lines) and lines[-1]["event"] == self.event and _count(lines, self.event) >= self.times


def read(ledger: Path) -> list[dict]:
    """All whole lines of a ledger."""
    if not ledger.exists():
        return []
    return [json.loads(line) for line in ledger.read_text().splitlines(keepends=True) if line.endswith("\n")]


def proof(model: Path, shop: Path, kills: int) -> dict:
    """Numbers that neither Perdure nor this demonstration made: they come from the other processes."""
    asked, done = read(model), read(shop)
    computed = Counter(line["key"] for line in asked if line["event"] == "computed")
    refunds = Counter(line["answer"]["order"] for line in done if line["event"] == "refund")
    tickets = Counter(line["answer"]["message"] for line in done if line["event"] == "ticket")
    return {
        "kills": kills,
        "model": None
        if not model.exists()
        else {
            "questions": len(computed),
            "computations": sum(computed.values()),
            "computedTwice": sum(1 for times in computed.values() if times > 1),
            "askedAgain": _count(asked, "joined") + _count(asked, "stored"),
            "inputTokens": sum(line.get("inputTokens", 0) for line in asked),
            "outputTokens": sum(line.get("outputTokens", 0) for line in asked),
        },
        "shop": {
            "refunds": sum(refunds.values()),
            "refundedTwice": sum(1 for times in refunds.values() if times > 1),
            "reversals": _count(done, "reversal"),
            "tickets": sum(tickets.values()),
            "ticketsTwice": sum(1 for times in tickets.values() if times > 1),
            "askedAgain": _count(done, "asked-again"),
        },
    }


def is_clean(proof_: dict) -> bool:
    """Whether nothing was done twice."""
    model = proof_["model"] or {"computedTwice": 0}
    return not (model["computedTwice"] or proof_["shop"]["refundedTwice"] or proof_["shop"]["ticketsTwice"])


def show(result: dict, seconds: float) -> None:
    """The table, and the proof in words, on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("message", no_wrap=True)
    table.add_column("read by the model", ratio=1)
    table.add_column("what happened", ratio=1)
    for row in result["results"]:
        facts, amount = row["facts"], row["amount"]
        read_ = [facts["customer"], facts["order"], facts["product"], "" if amount is None else f"{amount:.2f}"]
        why = "; ".join(row["doubts"]) if row["route"] == "person" else ""
        style = {"refund": "green", "person": "yellow"}.get(row["route"], "")
        happened = f"{row['result']}: {why}" if why else row["result"]
        cells = (row["id"], ", ".join(part for part in read_ if part), happened)
        table.add_row(*(_plain(cell) for cell in cells), style=style)
    console.print()
    console.print(table)
    console.print()
    for line in _sentences(result["proof"], len(result["results"]), seconds):
        console.print(line, highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    """As text only: what a customer wrote must not move the cursor, turn the direction or be read as markup."""
    from rich.markup import escape

    return escape("".join(char if char.isprintable() else " " for char in text))


def _sentences(proof_: dict, messages: int, seconds: float) -> list[str]:
    model, shop = proof_["model"], proof_["shop"]
    kills = f"; the process was killed {many(proof_['kills'], 'time')}" if proof_["kills"] else ""
    lines = [f"{many(messages, 'message')} in {seconds:.1f} s{kills}."]
    if model:
        lines.append(
            f"model    {many(model['questions'], 'question')}, {many(model['computations'], 'computation')}"
            f" ({model['inputTokens']} + {model['outputTokens']} tokens); asked again after a kill:"
            f" {model['askedAgain']}; computed twice: {model['computedTwice']}"
        )
    lines.append(
        f"shop     {many(shop['refunds'], 'refund')}, {shop['reversals']} taken back, {many(shop['tickets'], 'ticket')};"
        f" asked again after a kill: {shop['askedAgain']}; done twice: {shop['refundedTwice'] + shop['ticketsTwice']}"
    )
    return lines


def many(count: int, thing: str) -> str:
    """How many there are of a thing, in words."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _count(lines: list[dict], event: str) -> int:
    return sum(1 for line in lines if line["event"] == event)
