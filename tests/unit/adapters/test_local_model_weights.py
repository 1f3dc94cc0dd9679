"""Finding weights, without loading any."""

import pytest

from perdure.adapters import local_model_weights
from perdure.adapters.local_model_weights import MISSING, is_installed, weights


def test_a_given_file_is_taken(tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF")
    assert weights(str(file)) == file


def test_a_given_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="PERDURE_MODEL_FILE"):
        weights(str(tmp_path / "none.gguf"))
    assert not is_installed(str(tmp_path / "none.gguf"))


def test_without_the_extra_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(local_model_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError) as missing:
        weights()
    assert str(missing.value) == MISSING
    assert "make setup" in MISSING
    assert not is_installed()


@pytest.mark.parametrize(("content", "has_template"), [(b"x tokenizer.chat_template y", True), (b"nothing", False)])
def test_a_base_model_has_no_chat_template(tmp_path, content, has_template):
    file = tmp_path / "w.gguf"
    file.write_bytes(content)
    assert local_model_weights._has_template(file) is has_template
