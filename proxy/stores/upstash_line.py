"""The line to one Upstash Vector index: the vendor's library, with what it leaves out.

It looks at no status, waits ten minutes for an answer, tries nothing again that was refused, and
cannot be closed. So it is given an HTTP client of ours, and orders are sent in two ways: `soon` for
callers that wait, `surely` for work that has time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from upstash_vector import AsyncIndex
from upstash_vector.errors import ClientError, UpstashError

from proxy.core.clock import Clock
from proxy.stores.fuse import Fuse
from proxy.stores.protocols import StoreFailed

_PATIENCE_S: Final = 30.0  # one order that has time; the hosted models read a hundred passages
_LATE_S: Final = 10.0  # an order whose caller went: it may be opening the connection for the next
_MOST_LATE: Final = 64
_TRIES: Final = 5  # of an order that has time
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_IDLE_S: Final = 120.0  # a connection is kept: to open one takes longer than callers wait
_MOST_WORDS: Final = 200  # characters of what the vendor says

# Of these the vendor's words are of use, and do not quote what was sent.
_TELLING: Final = frozenset({401, 403, 422, 429})
_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_BROKEN: Final = 500
_OF_THE_CALLER: Final = frozenset({400, 404, 413, 422})

T = TypeVar("T")
Order = Callable[[AsyncIndex], Awaitable[T]]


class UpstashFailed(StoreFailed):
    """Upstash Vector did not do it. `status` is that of its answer, None where there was none.

    `pause_s` is how long it asks to be left alone.
    """

    def __init__(
        self,
        why: str,
        *,
        status: int | None = None,
        pause_s: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(f"Upstash Vector {why}", sent=sent, refused=status is not None)
        self.status = status
        self.pause_s = pause_s

    @property
    def passing(self) -> bool:
        """Whether the same order may work a little later."""
        return self.status is None or self.status == _TOO_MANY or self.status >= _BROKEN

    @property
    def ours(self) -> bool:
        """Whether the order was at fault, and the vendor is well."""
        return self.status in _OF_THE_CALLER


class Line:
    """One index. Opened with `async with`; all orders raise `UpstashFailed`.

    An order is given the vendor's `AsyncIndex`, and may be sent twice, so it must be idempotent.
    What it raises for an answer that it cannot read (`ValueError` and its kin) becomes a failure.
    """

    def __init__(self, url: str, token: str, clock: Clock, chance: Random) -> None:
        self._url = url.strip().rstrip("/")
        self._token = token.strip()
        self._clock = clock
        self._chance = chance
        self._fuse = Fuse(clock.now)
        self._late: set[asyncio.Task[object]] = set()
        self._client: httpx.AsyncClient
        self._index: AsyncIndex

    async def __aenter__(self) -> Self:
        # In a thread: reading the certificates takes as long as many answers.
        self._index, self._client = await asyncio.to_thread(self._made)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._client.aclose()

    def _made(self) -> tuple[AsyncIndex, httpx.AsyncClient]:
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(_PATIENCE_S),
            limits=httpx.Limits(keepalive_expiry=_IDLE_S),
            event_hooks={"response": [self._look]},
        )
        # No telemetry: which machine runs this is nobody's business.
        index = AsyncIndex(self._url, self._token, retries=0, allow_telemetry=False)
        index._client = client  # noqa: SLF001 - it takes no other; nothing was sent with its own
        return index, client

    async def soon(self, order: Order[T], budget_s: float) -> T:
        """What an order gives within `budget_s`; refused at once after failures in a row."""
        if not self._fuse.admits():
            raise UpstashFailed("failed too often, it is left alone for a second", sent=False)
        task = asyncio.get_running_loop().create_task(self._carried(order, _LATE_S))
        try:
            done, _ = await asyncio.wait({task}, timeout=budget_s)
        except asyncio.CancelledError:
            self._leave(task)
            raise
        if not done:
            self._fuse.failed()
            self._leave(task)
            raise UpstashFailed(f"did not answer within {budget_s * 1000:.0f} ms")
        try:
            made = task.result()
        except UpstashFailed as failed:
            if failed.ours:
                self._fuse.worked()
            else:
                self._fuse.failed()
            raise
        self._fuse.worked()
        return made

    async def surely(self, order: Order[T]) -> T:
        """What an order gives, tried again after a pause while that may help: minutes at most."""
        tried = 0
        while True:
            try:
                return await self._carried(order, _PATIENCE_S)
            except UpstashFailed as failed:
                tried += 1
                if tried == _TRIES or not failed.passing:
                    raise
                await self._clock.sleep(self._pause(tried, failed.pause_s))

    def _pause(self, tried: int, wished_s: float | None) -> float:
        """Seconds: as the vendor wishes, or up to 1, 2, 4, ... by chance."""
        if wished_s is not None:
            return min(wished_s, _LONGEST_PAUSE_S)
        return self._chance.uniform(0.0, _FIRST_PAUSE_S * 2**tried)

    def _leave(self, task: "asyncio.Task[T]") -> None:
        """Let an order go on that nobody waits for: cut off, its connection would never open."""
        if len(self._late) >= _MOST_LATE:
            task.cancel()
        self._late.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[T]") -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or the loop would complain of it

    async def _carried(self, order: Order[T], patience_s: float) -> T:
        try:
            async with asyncio.timeout(patience_s):
                try:
                    return await order(self._index)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # An idle connection that was closed meanwhile; on a new one it will work.
                    return await order(self._index)
        except TimeoutError as error:
            raise UpstashFailed(f"did not answer within {patience_s:.0f} s") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            told = f"cannot be reached ({type(error).__name__})"
            raise UpstashFailed(told, sent=False) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UpstashFailed("has no URL that can be read", sent=False) from error
        except httpx.HTTPError as error:
            raise UpstashFailed(f"broke off ({type(error).__name__})") from error
        except UpstashError as error:  # an error with the status of a success
            raise UpstashFailed("answered with an error", status=200) from error
        except ClientError as error:
            raise UpstashFailed("was not asked, the order makes no sense", sent=False) from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UpstashFailed(f"answered what nobody reads ({type(error).__name__})") from error

    async def _look(self, response: httpx.Response) -> None:
        """Raise for what the library would read as an answer, or stumble over."""
        status = response.status_code
        if status == httpx.codes.OK:
            return
        await response.aread()  # so that the connection can be used again
        told = f"answered {status}"
        if status in _TELLING and (words := self._words(response)):
            told += f": {words}"
        if status == _UNAUTHORIZED:
            told += " (is UPSTASH_VECTOR_REST_TOKEN that of this index?)"
        raise UpstashFailed(told, status=status, pause_s=_wish(response))

    def _words(self, response: httpx.Response) -> str:
        """What the vendor says, on one line."""
        try:
            said = response.json()["error"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""
        if not isinstance(said, str):
            return ""
        words = " ".join(said.replace(self._token, "***").split()) if self._token else ""
        return "".join(filter(str.isprintable, words))[:_MOST_WORDS]


def _wish(response: httpx.Response) -> float | None:
    """Seconds to wait, if the answer says so in whole seconds."""
    told = response.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdecimal() and len(told) < 9 else None
