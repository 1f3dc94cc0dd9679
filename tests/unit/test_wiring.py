"""What is put together from which settings."""

import pytest

from perdure import wiring
from perdure.errors import Invalid
from perdure.functions import python
from perdure.settings import Settings


def test_the_table_holds_what_comes_with_perdure():
    table = wiring.table(Settings())
    assert {"http", "openapi", "infer"} <= set(table.names())


def test_a_model_endpoint_of_the_settings_is_the_default_provider(tmp_path):
    assert "default local" in repr(wiring.table(Settings()).get("infer", None))
    chosen = wiring.table(Settings(model_url="https://models.example.com/v1", model_key="k"))
    assert "default openai" in repr(chosen.get("infer", None))


def test_what_documents_call_is_built_when_one_asks_and_what_is_set_is_looked_at_at_once(tmp_path, monkeypatch):
    def broken():
        raise Invalid("The functions of the entry point x cannot be loaded.")

    monkeypatch.setattr(python, "installed", broken)
    table = wiring.table(Settings())
    for _again in range(2):
        with pytest.raises(Invalid, match="entry point x"):
            table.names()
    monkeypatch.undo()
    assert "infer" in table.names()
    with pytest.raises(Invalid, match="no module nowhere"):
        wiring.table(Settings(), modules=["nowhere"])
    with pytest.raises(Invalid, match="models file"):
        wiring.table(Settings(models=str(tmp_path / "absent.yaml")))


def test_nothing_is_on_the_disk_before_it_is_open(tmp_path):
    installation = wiring.installation(tmp_path / "data", Settings())
    assert not (tmp_path / "data").exists()
    assert "closed" in repr(installation)


def test_a_secrets_file_that_others_may_read_is_told_once(tmp_path):
    file = tmp_path / "secrets.json"
    file.write_text('{"token": "t"}')
    file.chmod(0o644)
    assert len(wiring.installation(tmp_path, Settings(), secrets_file=str(file)).warnings) == 1
    file.chmod(0o600)
    assert wiring.installation(tmp_path, Settings(secrets=str(file))).warnings == []
    with pytest.raises(Invalid, match="cannot be read"):
        wiring.installation(tmp_path, Settings(), secrets_file=str(tmp_path / "absent"))


async def test_open_and_close(tmp_path):
    installation = wiring.installation(tmp_path / "data", Settings())
    async with installation.open(drive=False):
        assert await installation.engine.find("default") == []
        assert await installation.resolve({"do": []}) == {}
