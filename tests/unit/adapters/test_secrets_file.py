"""Secrets of a file."""

import pytest

from perdure.adapters.secrets_environment import EnvironmentSecrets
from perdure.adapters.secrets_file import MAX_BYTES, FileSecrets
from perdure.errors import Invalid
from perdure.ports.secrets import Secret


@pytest.fixture
def written(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "secrets.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    return write


async def test_yaml_and_json(written):
    secrets = FileSecrets(written("token: abc\nservice:\n  value: { user: u }\n  hosts: [api.example]\n"))
    assert await secrets.get("t", "token") == Secret("abc")
    assert await secrets.get("t", "service") == Secret({"user": "u"}, ("api.example",))
    assert await secrets.get("t", "other") is None
    assert (await FileSecrets(written('{"a": 1}')).get("t", "a")).value == 1
    assert secrets.names() == ["service", "token"]
    assert secrets.warning is None
    assert "abc" not in repr(secrets)


async def test_the_file_comes_before_the_environment(written):
    otherwise = EnvironmentSecrets({"PERDURE_SECRET_a": "env", "PERDURE_SECRET_b": "env"})
    secrets = FileSecrets(written("a: file"), otherwise)
    assert [(await secrets.get("t", name)).value for name in ("a", "b")] == ["file", "env"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read_is_told(written, mode):
    assert "chmod 600" in FileSecrets(written("a: b", mode)).warning


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "must be a map"),
        ("", "neither JSON nor YAML"),
        ("a: [hidden-value", r"neither JSON nor YAML \(line"),
        ("a: 1\na: hidden-value\n", "neither JSON nor YAML"),
        (b"\xff\xfe\xff", "neither JSON nor YAML"),
        ("a: { value: 1, hosts: [] }", "hosts of the secret a"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_a_file_that_does_not_fit_is_told_without_its_text(written, text, said):
    with pytest.raises(Invalid, match=said) as caught:
        FileSecrets(written(text))
    assert "hidden" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        FileSecrets(tmp_path / "none")
    with pytest.raises(Invalid, match="cannot be read"):
        FileSecrets(tmp_path)
