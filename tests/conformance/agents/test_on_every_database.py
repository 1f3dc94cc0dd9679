"""Every test of the service that asks a database, once more on each kind of it: locks, conflicts and row-level security
differ."""

from tests.unit.services.agents import test_executions, test_spending

for _suite in (test_executions, test_spending):
    _topic = _suite.__name__.rpartition(".")[2]
    for _name, _test in list(vars(_suite).items()):
        if _name.startswith("test_") and "world" in _test.__code__.co_varnames:
            globals()[f"{_topic}_{_name.removeprefix('test_')}"] = _test
