from pathlib import Path

import pytest

from proxy.config.errors import ConfigError
from proxy.config.reload import Watch, reread
from proxy.config.settings import Config


def config(**knobs: object) -> Config:
    groq = {"keys": [{"name": "a", "value": "gsk_a"}]}
    return Config.model_validate({"providers": {"groq": groq}, **knobs})


OLD = config()


def test_a_good_configuration_takes_the_place_of_the_old_one() -> None:
    new = config(default_model="x")

    assert reread(OLD, lambda: new) is new


def test_what_only_a_restart_can_change_is_named() -> None:
    new = config(workers=2, state_dir="elsewhere")

    with pytest.raises(ConfigError, match=r"^workers, state_dir can only change with a restart$"):
        reread(OLD, lambda: new)


@pytest.mark.parametrize(
    "error",
    [ConfigError("f.yaml", "listen", "is wrong"), OSError("gone"), ValueError("odd")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_wrong_is_one_kind_of_error_with_its_reason(error: Exception) -> None:
    def read() -> Config:
        raise error

    with pytest.raises(ConfigError) as refused:
        reread(OLD, read)

    assert str(refused.value) == str(error)


def test_a_file_that_comes_changes_or_goes_is_seen_once_each_time(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    other.touch()
    watch = Watch([file, other])
    seen = [watch.changed()]

    file.write_text("one")
    seen += [watch.changed(), watch.changed()]
    file.write_text("three")
    seen += [watch.changed(), watch.changed()]
    file.unlink()
    seen += [watch.changed(), watch.changed()]

    assert seen == [False, True, False, True, False, True, False]
