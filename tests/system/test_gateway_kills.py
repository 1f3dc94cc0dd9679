"""`perdure up` killed while its model gateway answers: nothing that was answered is without its bill."""

import contextlib
import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from perdure.client import usage
from tests.servers.model_endpoint import completion, endpoints
from tests.system.platform_process import PlatformProcess

MODELS = """
providers: {{ one: {{ kind: openai, url: "{}", models: [m] }} }}
prices: {{ m: {{ input: 1, output: 2 }} }}
"""
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Hello."}]}
AT_ONCE, ENOUGH = 4, 40


@pytest.fixture
def platform(tmp_path):
    models = tmp_path / "models.yaml"
    with endpoints(lambda body, _: completion("hello")) as [provider]:
        models.write_text(MODELS.format(provider.url))
        made = PlatformProcess(tmp_path, PERDURE_MODELS=str(models), PERDURE_RATE_LIMITS="model=0")
        made.up()
        yield made
        made.kill()


def asking(platform, answered, enough):
    """Ask again and again until nobody answers any more."""
    place = urlsplit(platform.address)
    headers = {"authorization": f"Bearer {platform.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        while True:
            connection.request("POST", "/v1/chat/completions", json.dumps(QUESTION), headers)
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            answered.append(response.status)
            if len(answered) >= ENOUGH:
                enough.set()


def test_every_answer_has_its_bill_after_a_kill(platform):
    billed = 0
    for _ in range(2):
        answered, enough = [], threading.Event()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = [threads.submit(asking, platform, answered, enough) for _ in range(AT_ONCE)]
            assert enough.wait(60)
            platform.kill()
        assert [one.result() for one in asked] == [None] * AT_ONCE
        platform.up()
        with platform.client() as client:
            [total] = client.do(usage.sums([])).items
        assert len(answered) <= total.requests - billed <= len(answered) + AT_ONCE
        billed = total.requests
