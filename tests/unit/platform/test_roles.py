"""What the settings must say for a process of several: each thing that is missing is one sentence, and what to set."""

import msgspec
import pytest

from perdure.errors import Invalid
from perdure.platform.roles import check
from perdure.settings import Settings

WHOLE = Settings(
    engine="temporal", database_url="postgresql://perdure@db/perdure", master_keys=("k",), redis_url="redis://cache",
    temporal_store="s3://bucket",
)  # fmt: skip
CASES = {
    "engine": ({"engine": "embedded"}, "needs a Temporal server", "PERDURE_ENGINE=temporal"),
    "database": ({"database_url": ""}, "none is set", "PERDURE_DATABASE_URL"),
    "file": ({"database_url": "sqlite:///x/{service}.db"}, "is a file", "PERDURE_DATABASE_URL"),
    "keys": ({"master_keys": ()}, "keys for secrets at rest", "PERDURE_MASTER_KEYS"),
}


@pytest.mark.parametrize("role", ["gateway", "worker"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_is_said(role, case):
    changes, sentence, hint = CASES[case]
    with pytest.raises(Invalid, match=sentence) as raised:
        check(role, msgspec.structs.replace(WHOLE, **changes))
    assert raised.value.message.startswith("`perdure serve`" if role == "gateway" else "`perdure worker`")
    assert hint in raised.value.hint


def test_one_process_needs_nothing():
    assert check("everything", Settings()) == []


def test_what_counts_in_each_process_by_itself_is_a_warning():
    assert check("gateway", WHOLE) == check("worker", WHOLE) == []
    (warning,) = check("gateway", msgspec.structs.replace(WHOLE, redis_url=""))
    assert "PERDURE_REDIS_URL" in warning
    (warning,) = check("worker", msgspec.structs.replace(WHOLE, temporal_store=""))
    assert "PERDURE_TEMPORAL_STORE" in warning
