"""The yardstick: a bare reverse proxy of aiohttp on both sides, tuned, that passes bytes through.

No JSON, no metrics, no log, no cache: what is left is what aiohttp itself costs. It is meant to be
hard to beat: one write per read, whatever has arrived by then, and no task, timer or decoding of
its own. Like a gateway it drops hop-by-hop headers, puts in the provider's key, and ends the
upstream call when its client leaves.
"""

import argparse
import asyncio

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

AUTHORIZATION = "Bearer gsk_bench"

# aiohttp's default of 300 s in total is a timer for each call, a tenth of what the call costs here;
# the load's own patience bounds the waits.
TIMEOUT = ClientTimeout(total=None, sock_connect=3)

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_SENT_UP = _HOP_BY_HOP | {"host", "authorization", "content-length"}


class Relay:
    """Passes each request to `base`, and its answer back."""

    def __init__(self, session: ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        headers = _without(_NOT_SENT_UP, request.headers)
        headers["Authorization"] = AUTHORIZATION
        async with self._session.request(
            request.method,
            URL(self._base + request.rel_url.raw_path_qs, encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
        ) as upstream:
            answer = web.StreamResponse(
                status=upstream.status, headers=_without(_HOP_BY_HOP, upstream.headers)
            )
            await answer.prepare(request)
            async for data in upstream.content.iter_any():
                await answer.write(data)
            await answer.write_eof()
            return answer


def _without(names: frozenset[str], headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in names
    )


async def _serve(port: int, base: str) -> None:
    connector = TCPConnector(limit=1000, keepalive_timeout=75)
    async with ClientSession(
        connector=connector,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=TIMEOUT,
    ) as session:
        server = web.Server(Relay(session, base).handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--base", required=True, help="http://127.0.0.1:PORT/openai")
    args = parser.parse_args()
    asyncio.run(_serve(args.port, args.base))
