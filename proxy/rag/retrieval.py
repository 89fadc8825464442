"""Passages for a call: which collection it wants, what that has to say, and what is put in."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from proxy.config.names import LABEL
from proxy.config.settings import Config, RagSettings
from proxy.core.call import Call, Caller, Endpoint, Source
from proxy.core.clock import Clock
from proxy.core.errors import Forbidden, InvalidRequest, StoreUnavailable
from proxy.core.journal import RagRecord
from proxy.core.light import light
from proxy.rag.asked import asked
from proxy.rag.injection import FORM, block, fitting, informed, new_mark, tokens_of
from proxy.rag.ranking import Scored
from proxy.rag.search import search
from proxy.rag.shelves import Shelves
from proxy.rag.stopwatch import stopwatch
from proxy.stores.protocols import StoreFailed

HEADER: Final = "x-proxy-rag"
OFF: Final = "off"


@light
class Wish:
    """The collection that a call is to be answered from; `off` where its client wants none."""

    collection: str
    named: bool  # by the client
    off: bool = False


@light
class Informed:
    """A call with passages put in, as it goes upstream.

    `identity` names what was put in: calls of one identity hold the same passages, or none that
    come from the same collection.
    """

    call: Call
    identity: str


class Retrieval:
    """What one configuration makes of the stores of passages, which are named as it names them."""

    def __init__(self, config: Config, stores: Mapping[str, Shelves], clock: Clock) -> None:
        self._config = config
        self._stores = stores
        self._clock = clock
        always = (name for name, each in config.rag.items() if each.inject == "always")
        self._always = next(always, "")

    def wanted(self, call: Call, headers: Mapping[str, str]) -> Wish | None:
        """What `call` wants of documents; None where nothing was said of them.

        Raises `InvalidRequest` for a name that cannot be one, `Forbidden` for one that is not the
        caller's. The header wins, then the caller's first, then what is put in always.
        """
        if call.endpoint is not Endpoint.CHAT:
            return None
        mine, said = call.caller.rag, headers.get(HEADER)
        usual = mine[0] if mine else self._always
        said = said and said.strip()
        if not said:
            return Wish(usual, named=False) if usual else None
        if said.lower() == OFF:
            return Wish(usual, named=False, off=True) if usual else None
        if not LABEL.fullmatch(said):
            raise InvalidRequest(
                f"{HEADER} must be off, or a collection's name: up to 64 of A-Z a-z 0-9 _ . -",
                param=HEADER,
            )
        if mine and said not in mine:
            raise Forbidden(
                f"this key may not use the collection {said!r}: its `rag` does not name it",
                code="collection_not_allowed",
            )
        return Wish(said, named=True)

    async def inform(self, call: Call, wish: Wish, record: RagRecord) -> Informed:
        """`call` with what was found for it; `record` tells how that went.

        Raises `InvalidRequest` where the client named a collection that is not there, and
        `StoreUnavailable` where the store does not answer and the collection's settings want that.
        """
        if wish.off:
            return Informed(call, "")
        settings = self._config.collection(wish.collection)
        try:
            return await self._informed(call, wish, settings, record)
        except StoreFailed as error:
            record.result = "error"
            # Who made that up must not make a label of it, either.
            record.known = not wish.named or wish.collection in self._known(call.caller)
            if settings.on_failure == "refuse":
                raise StoreUnavailable(
                    f"the documents of {wish.collection!r} are out of reach; try again in a moment",
                    code="rag_unavailable",
                ) from error
            return Informed(call, "")

    async def _informed(
        self, call: Call, wish: Wish, settings: RagSettings, record: RagRecord
    ) -> Informed:
        shelves = self._stores[settings.store]
        shelf = await shelves.shelf(wish.collection)
        if shelf is None and wish.named and wish.collection not in self._config.rag:
            record.known = False
            raise self._unknown(wish.collection, call.caller)
        version = shelf.version if shelf else ""
        found = await self._found(call, settings, shelves, version, record)
        began = self._clock.now()
        if found:
            found = fitting(found)
            call = informed(call, block(found, wish.collection, new_mark()))
        record.tokens = tokens_of(found)
        record.sources = [
            Source(wish.collection, each.passage.document, each.passage.title, round(each.score, 4))
            for each in found
        ]
        record.assemble_s = self._clock.now() - began
        ids = (each.passage.id for each in found)
        return Informed(call, "\n".join((str(FORM), wish.collection, version, *ids)))

    async def _found(
        self,
        call: Call,
        settings: RagSettings,
        shelves: Shelves,
        version: str,
        record: RagRecord,
    ) -> Sequence[Scored]:
        assert isinstance(call.body, dict)
        began = self._clock.now()
        with stopwatch() as spent:
            try:
                for question in asked(call.body):
                    record.result = "empty"
                    name = record.collection
                    found = await search(shelves, name, question, settings, version)
                    if found.top_score is not None:
                        record.top_score = max(record.top_score or 0.0, found.top_score)
                    if found.passages:
                        record.result = "ok"
                        return found.passages
                return ()
            finally:
                record.embed_s = spent.seconds
                record.search_s = max(0.0, self._clock.now() - began - spent.seconds)

    def _unknown(self, name: str, caller: Caller) -> InvalidRequest:
        known = sorted(set(self._known(caller)))
        told = f"known are {', '.join(known)}" if known else "none is there yet"
        return InvalidRequest(
            f"there is no collection {name!r}; {told}",
            code="collection_not_found",
            param=HEADER,
        )

    def _known(self, caller: Caller) -> Iterator[str]:
        """The collections that a caller may use, as far as they are known."""
        for name in (*self._config.rag, *(name for s in self._stores.values() for name in s.known)):
            if not caller.rag or name in caller.rag:
                yield name
