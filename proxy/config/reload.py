"""The configuration as it changes while the program runs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from proxy.config.errors import ConfigError
from proxy.config.load import restart_only_changes
from proxy.config.settings import Config


def reread(old: Config, read: Callable[[], Config]) -> Config:
    """What `read` gives now, checked; `ConfigError` where it cannot take the place of `old`."""
    try:
        config = read()
    except (OSError, ValueError) as error:
        raise ConfigError(None, None, str(error)) from error
    if changed := restart_only_changes(old, config):
        raise ConfigError(None, None, f"{', '.join(changed)} can only change with a restart")
    return config


class Watch:
    """Files that may change, also by coming or going."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._seen = self._stamps()

    def changed(self) -> bool:
        """Whether any of them changed since this was last asked."""
        before, self._seen = self._seen, self._stamps()
        return before != self._seen

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
