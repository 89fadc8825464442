"""/dashboard: the live page, a few files that hold nothing of anybody. Its data are at /admin."""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

from aiohttp import web

from proxy.core.errors import NotFound
from proxy.server.ops import Operation

_FOLDER: Final = Path(__file__).parent.parent / "dashboard"
_KINDS: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Nothing from elsewhere, nothing inline, nothing to send anywhere but here.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Dashboard:
    """Answers at `/dashboard` and at the addresses of its files, and sends browsers there."""

    def __init__(self) -> None:
        self._files = {path.name: _File(path) for path in _FOLDER.iterdir() if path.is_file()}
        self.table: Mapping[str, Operation] = {
            "/": Operation(self._root),
            "/dashboard": Operation(self._files["index.html"].answer),
            "/dashboard/": Operation(_to_page),
            **{f"/dashboard/{name}": Operation(file.answer) for name, file in self._files.items()},
        }

    async def _root(self, request: web.BaseRequest) -> web.Response:
        if "text/html" not in request.headers.get("Accept", ""):
            raise NotFound("nothing is here: the API is at /v1/..., the live page at /dashboard")
        return await _to_page(request)


class _File:
    """One file, read once; a browser that has it is told so."""

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        self._kind = _KINDS[path.suffix]
        self._tag = f'"{blake2b(self._body, digest_size=8).hexdigest()}"'

    async def answer(self, request: web.BaseRequest) -> web.Response:
        headers = {
            "Content-Security-Policy": _POLICY,
            "Cache-Control": "no-cache",
            "ETag": self._tag,
        }
        if request.headers.get("If-None-Match") == self._tag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=self._body, content_type=self._kind, charset="utf-8", headers=headers
        )


async def _to_page(_: web.BaseRequest) -> web.Response:
    return web.Response(status=307, headers={"Location": "/dashboard"})
