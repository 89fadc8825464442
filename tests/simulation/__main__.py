"""The command: `python -m tests.simulation SCENARIO SEED` prints what happened.

Without a seed it tries seeds until one breaks a rule, and prints that.
"""

import argparse
import itertools
import sys

from tests.simulation.run import History, simulate
from tests.simulation.scenarios import SCENARIOS


def main() -> int:
    """Print one history; exit code 1 if it breaks a rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("seed", type=int, nargs="?", help="left out: the first that breaks a rule")
    args = parser.parse_args()
    history = _first_bad(args.scenario) if args.seed is None else simulate(args.scenario, args.seed)
    sys.stdout.writelines(f"{line}\n" for line in history.lines)
    sys.stdout.writelines(f"broken {complaint}\n" for complaint in history.complaints)
    sys.stdout.write(f"{history.scenario} {history.seed}: {history.digest}\n")
    return 1 if history.complaints else 0


def _first_bad(scenario: str) -> History:
    histories = (simulate(scenario, seed) for seed in itertools.count())
    return next(history for history in histories if history.complaints)


if __name__ == "__main__":
    sys.exit(main())
