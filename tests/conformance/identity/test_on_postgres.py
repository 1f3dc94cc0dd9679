"""Tests of the service that ask a database, once more on PostgreSQL: locks, conflicts and row-level security differ there."""

from tests.unit.services.identity import test_keys, test_sessions

for _suite in (test_keys, test_sessions):
    _topic = _suite.__name__.rpartition(".")[2]
    for _name, _test in list(vars(_suite).items()):
        once = not hasattr(_test, "pytestmark")  # what is the same with many values needs one kind of database only
        if once and _name.startswith("test_") and "identity" in _test.__code__.co_varnames:
            globals()[f"{_topic}_{_name.removeprefix('test_')}"] = _test
