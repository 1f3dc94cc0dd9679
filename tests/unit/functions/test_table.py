"""The function table: names, versions, nearest names."""

import pytest

from perdure.errors import Conflict, NotFound
from perdure.functions.python import Description, PythonFunction
from perdure.functions.table import Table


def made(name, version="1.0.0"):
    return PythonFunction(lambda a=1: a, Description(name, version, "read", None, None, "s"))


TABLE = Table([made("greet", "1.9.0"), made("greet", "1.10.0"), made("greet", "2.0.0-rc.1"), made("pay", "1.0.0")])


@pytest.mark.parametrize(
    ("asked", "found"),
    [(None, "2.0.0-rc.1"), ("latest", "2.0.0-rc.1"), ("1", "1.10.0"), ("1.9", "1.9.0"), ("1.9.0", "1.9.0")],
)
def test_a_version_may_be_named_whole_or_by_its_beginning(asked, found):
    assert TABLE.get("greet", asked).version == found


def test_a_release_comes_after_its_candidates():
    table = Table([made("a", "1.0.0-rc.1"), made("a", "1.0.0"), made("a", "0.9.9")])
    assert [function.version for function in table.all()] == ["1.0.0", "1.0.0-rc.1", "0.9.9"]


def test_what_is_missing_is_told_with_the_nearest():
    with pytest.raises(NotFound, match="Did you mean greet"):
        TABLE.get("gret")
    with pytest.raises(NotFound, match="functions list"):
        TABLE.get("zzz")
    with pytest.raises(
        NotFound, match=r"no version 3 of the function greet\. There is 2\.0\.0-rc\.1, 1\.10\.0, 1\.9\.0"
    ):
        TABLE.get("greet", "3")


def test_it_serves_as_catalog_for_checks():
    assert TABLE.names() == ["greet", "pay"]
    assert TABLE.schema_of("pay", None)["type"] == "object"
    assert TABLE.schema_of("nothing", None) is None
    assert repr(TABLE) == "Table(2 functions: greet, pay)"


def test_one_name_and_version_is_one_function():
    with pytest.raises(Conflict, match=r"two functions pay:1\.0\.0"):
        Table([made("pay"), made("pay")]).names()
