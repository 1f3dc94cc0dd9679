"""The shop behind the inbox: orders, refunds, bookings and tickets as a real HTTP service of its own.

It honours `Idempotency-Key`: the same key gets the first answer again and nothing happens a second time. Whatever it
does, and every time it is asked again, is a line of an append-only ledger, which it reads back when it starts.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

SLOW = 0.4
"""Seconds that a refund takes between being done and being answered: payment services are not quick."""


class Shop:
    """State and rules. Every change is in the ledger before it is answered."""

    def __init__(self, orders: dict, ledger: Path) -> None:
        self.orders = orders
        self.lock = threading.Lock()
        self.answers: dict[str, tuple[str, int, dict]] = {}
        self.refunds: dict[str, dict] = {}
        self.tickets = 0
        if ledger.exists():
            for line in ledger.read_text().splitlines():
                self._apply(json.loads(line))
        self.ledger = ledger.open("a", buffering=1)

    def ask(self, key: str, path: str, body: dict) -> tuple[int, dict]:
        """Do what was asked once for each key."""
        with self.lock:
            if key in self.answers:
                asked, status, answer = self.answers[key]
                self._write({"event": "asked-again", "key": key, "path": path})
                if asked != path:
                    return 422, {"error": "this key belongs to another request"}
                return status, answer
            status, answer, event = self._decide(path, body)
            entry = {"event": event, "key": key, "path": path, "status": status, "answer": answer}
            self._write(entry)
            self._apply(entry)
        if event == "refund":
            time.sleep(SLOW)
        return status, answer

    def _decide(self, path: str, body: dict) -> tuple[int, dict, str]:
        match path.strip("/").split("/"):
            case ["refunds"]:
                return self._refund(body)
            case ["refunds", refund, "reversal"] if refund in self.refunds:
                return 200, {**self.refunds[refund], "reversed": True}, "reversal"
            case ["bookings"] if refund := self.refunds.get(body.get("refund", "")):
                if self.orders[refund["order"]].get("account") == "closed":
                    return 422, {"error": "the customer's account is closed"}, "refused"
                return 200, {"booked": refund["id"]}, "booking"
            case ["tickets"]:
                ticket = {"id": f"T-{self.tickets + 1}", **body}
                return 200, ticket, "ticket"
        return 404, {"error": f"nothing at {path}"}, "refused"

    def _refund(self, body: dict) -> tuple[int, dict, str]:
        order, amount = body.get("order"), body.get("amount")
        if order not in self.orders or not isinstance(amount, int | float):
            return 422, {"error": "a refund needs an order of ours and an amount"}, "refused"
        if not 0 < amount <= self.orders[order]["paid"]:
            return 422, {"error": "a refund cannot be more than was paid"}, "refused"
        if any(refund["order"] == order and not refund["reversed"] for refund in self.refunds.values()):
            return 409, {"error": "this order is refunded already"}, "refused"
        refund = {"id": f"R-{len(self.refunds) + 1}", "order": order, "amount": amount, "reversed": False}
        return 200, refund, "refund"

    def _apply(self, entry: dict) -> None:
        if entry["event"] == "asked-again":
            return
        self.answers[entry["key"]] = (entry["path"], entry["status"], entry["answer"])
        if entry["event"] in {"refund", "reversal"}:
            self.refunds[entry["answer"]["id"]] = entry["answer"]
        if entry["event"] == "ticket":
            self.tickets += 1

    def _write(self, entry: dict) -> None:
        self.ledger.write(json.dumps(entry, ensure_ascii=False) + "\n")


class Exchange(BaseHTTPRequestHandler):
    """GET /orders/{number}; POST /refunds, /refunds/{id}/reversal, /bookings, /tickets."""

    protocol_version = "HTTP/1.1"
    shop: Shop

    def do_GET(self) -> None:
        number = unquote(self.path.removeprefix("/orders/"))
        order = self.shop.orders.get(number) if self.path.startswith("/orders/") else None
        if order is None:
            self._reply(404, {"error": f"there is no order {number}"})
            return
        is_refunded = any(r["order"] == number and not r["reversed"] for r in self.shop.refunds.values())
        self._reply(200, {"number": number, **order, "refunded": is_refunded})

    def do_POST(self) -> None:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        except ValueError:
            body = None
        key = self.headers.get("idempotency-key", "")
        if not isinstance(body, dict) or not key:
            self._reply(400, {"error": "send a JSON object, with an Idempotency-Key"})
            return
        self._reply(*self.shop.ask(key, self.path, body))

    def log_message(self, format: str, *args: object) -> None:
        """The ledger says it all."""

    def _reply(self, status: int, body: dict) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # whoever asked was killed meanwhile


def main() -> None:
    """Serve on a free port of loopback, print the port, end with the process that started this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    options = parser.parse_args()
    Exchange.shop = Shop(_orders(options.orders), options.ledger)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(server.server_port, flush=True)
    parent = os.getppid()
    server.service_actions = lambda: _end_with(parent, server)
    server.serve_forever()


def _orders(file: Path) -> dict:
    try:
        orders = json.loads(file.read_text())
        fits = all(
            isinstance(order["paid"], int | float) and order["customer"] and order["product"]
            for order in orders.values()
        )
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        fits = False
    if not fits:
        sys.exit(f'{file} is not a JSON object like {{"A-1": {{"customer": "...", "product": "...", "paid": 9.5}}}}.')
    return orders


def _end_with(parent: int, server: ThreadingHTTPServer) -> None:
    if os.getppid() != parent:
        threading.Thread(target=server.shutdown).start()


if __name__ == "__main__":
    sys.exit(main())
