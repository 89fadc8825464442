"""Searches share the turns of the event loop: in each of them only so many rows are compared.

A thread would be no help. It lets go of the interpreter at every step, and beside a busy loop gets
it back milliseconds later: a search of one millisecond takes tens or hundreds.
"""

import asyncio


class Shifts:
    """Counts what is compared in a turn of the loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    async def take(self, rows: int) -> None:
        """To be awaited before so many are compared; more than there may be have a whole turn."""
        while True:
            if not self._taken:
                asyncio.get_running_loop().call_soon(self._over)
                break
            if self._taken + rows <= self._most:
                break
            await asyncio.sleep(0)
        self._taken += rows

    def _over(self) -> None:
        self._taken = 0
