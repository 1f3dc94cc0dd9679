"""Every test of the service that asks a database, once more on each kind of it: claims, locks and row-level security differ."""

from tests.unit.services.workflows import (
    test_approvals,
    test_bulk,
    test_definitions,
    test_inbox,
    test_repairs,
    test_runs,
    test_schedules,
    test_triggers,
    test_webhooks,
)

_SUITES = (
    test_approvals, test_bulk, test_definitions, test_inbox, test_repairs, test_runs, test_schedules, test_triggers,
    test_webhooks,
)  # fmt: skip

for _suite in _SUITES:
    _topic = _suite.__name__.rpartition(".")[2]
    for _name, _test in list(vars(_suite).items()):
        if _name.startswith("test_") and "world" in _test.__code__.co_varnames:
            globals()[f"{_topic}_{_name.removeprefix('test_')}"] = _test
