"""`python -m proxy.config.at_hand`: exit 0 with a provider key, 1 if only the demo is left."""

import os
import sys
from pathlib import Path

from proxy.config.errors import ConfigError
from proxy.config.load import find_file, provider_key_at_hand, read_environment


def main() -> int:
    """The exit code; what is wrong with a file is for `serve` to say."""
    try:
        env = read_environment(Path.cwd(), os.environ)
        return 0 if provider_key_at_hand(env, find_file(None, env, Path.cwd())) else 1
    except ConfigError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
