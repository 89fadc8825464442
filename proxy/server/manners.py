"""What is expected of clients."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manners:
    """Constants of the product; tests shorten them."""

    body_s: float = 60.0  # for a whole body
    upload_s: float = 600.0
    pace_after_s: float = 10.0  # from when on a body has to come at a pace
    pace_bytes_per_s: float = 1000.0
    slow_reader_s: float = 60.0  # in which one that is owed bytes must take some

    def wait_s(self, received_bytes: int, within_s: float) -> float:
        """For how long, in all, the rest of a body may be waited for."""
        return min(within_s, max(self.pace_after_s, received_bytes / self.pace_bytes_per_s))


GOOD_MANNERS = Manners()
