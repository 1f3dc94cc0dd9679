"""Send a message to a webhook, signed as Standard Webhooks has it, with nothing but the standard library.

`python send.py ADDRESS SECRET '{"who": "Ben", "amount": 120}' [ID]` prints the answer. The same id is taken once.
"""

import base64
import hashlib
import hmac
import sys
import time
import urllib.request
import uuid


def signature(secret: str, id: str, moment: str, body: bytes) -> str:
    """HMAC-SHA256 over id, time and body, under the key that the secret spells."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def send(address: str, secret: str, body: bytes, id: str = "") -> str:
    """The answer of the server, as text."""
    id = id or f"msg_{uuid.uuid4().hex}"
    moment = str(int(time.time()))
    headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": moment,
        "webhook-signature": signature(secret, id, moment, body),
    }
    request = urllib.request.Request(address, body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


if __name__ == "__main__":
    print(send(sys.argv[1], sys.argv[2], sys.argv[3].encode(), *sys.argv[4:5]))
