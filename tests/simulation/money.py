"""Money in the simulation: what of it must hold at every commit, request and end of a call."""

from collections import defaultdict
from collections.abc import Sequence

from proxy.core.call import Caller, Endpoint
from proxy.core.errors import BudgetExhausted, StoreUnavailable
from proxy.core.money import Budget, Kind
from tests.simulation.ledger import Entry, State, Vault
from tests.simulation.scenarios import TEAMS, Scene
from tests.simulation.tariff import due, is_free, price_of, promise_for
from tests.simulation.watch import Case, Request, Rule

_WAYS: frozenset[tuple[Kind, ...]] = frozenset(
    {
        (Kind.RESERVE,),
        (Kind.RESERVE, Kind.SETTLE),
        (Kind.RESERVE, Kind.RELEASE),
        (Kind.RESERVE, Kind.EXPIRE),
        (Kind.RESERVE, Kind.EXPIRE, Kind.LATE),
        (Kind.SETTLE,),  # of what nobody had promised
        (Kind.RELEASE,),  # overtook the question, which then is denied
    }
)


class LedgerHolds(Rule):
    """The invariants of the ledger, after each commit of it."""

    def __init__(self, vault: Vault, scene: Scene) -> None:
        super().__init__()
        self._vault = vault
        self._scene = scene
        self._overruns: defaultdict[str, int] = defaultdict(int)
        self._over: set[str] = set()  # holds whose overrun is counted
        self._sums: defaultdict[str, int] = defaultdict(int)
        self._rows = 0
        vault.on_commit = self.committed

    def committed(self, entry: Entry) -> None:
        """One hold was changed."""
        vault, hold = self._vault, entry.hold
        for row in vault.rows[self._rows :]:
            for id in row.buckets:
                self._sums[id] += row.amount
        self._rows = len(vault.rows)
        if entry.charged > entry.promised and hold.id not in self._over:
            self._over.add(hold.id)
            for bucket in hold.buckets:
                self._overruns[bucket.id] += entry.charged - entry.promised
        self.must(tuple(entry.kinds) in _WAYS, f"{hold.id} went {' '.join(entry.kinds)}")
        opened = [each for each in vault.entries.values() if each.state is State.OPEN]
        for bucket in hold.buckets:
            balance, id = vault.balance(bucket), bucket.id
            held = sum(
                each.promised
                for each in opened
                if any(one.id == id for one in each.hold.buckets) and each.kinds
            )
            most = None if bucket.limit is None else bucket.limit + self._overruns[id]
            self.must(most is None or balance.spent <= most, f"I1: {id} holds {balance} of {most}")
            self.must(balance.reserved == held, f"I2: {id} has {balance}, its holds {held}")
            self.must(balance.settled == self._sums[id], f"I3: {id} has {balance}, not its rows")
            self.must(min(balance.settled, balance.reserved) >= 0, f"I6: {id} holds {balance}")

    def finishes(self) -> None:
        """No id is used twice; I5, for each window that all keys or all teams have a budget of."""
        self.must(not self._vault.reused, f"asked for after their end: {self._vault.reused}")
        settled: defaultdict[tuple[str, str], int] = defaultdict(int)
        for id, balance in self._vault.balances.items():
            scope, _, instance = id.partition("|")
            settled[scope.partition(":")[0], instance] += balance.settled
        for (level, instance), amount in settled.items():
            whole = settled.get(("global", instance))
            if whole is not None and self._counts_all(level, instance):
                self.must(amount == whole, f"I5: {instance}: {amount} by {level} of {whole}")

    def _counts_all(self, level: str, instance: str) -> bool:
        scopes = {
            "global": ["global"],
            "team": [f"team:{team}" for team in set(TEAMS.values())],
            "key": [f"key:{key}" for key in TEAMS],
        }[level]
        window = instance.partition("|")[0]
        return all(
            any(each.window == window for each in self._scene.budgets_of(scope)) for scope in scopes
        )


class RequestsArePaid(Rule):
    """Nothing goes out without its promise, and each request is charged what it was, once."""

    def __init__(self, vault: Vault, scene: Scene) -> None:
        super().__init__()
        self._vault = vault
        self._scene = scene
        self._paying: dict[str, Request] = {}  # by hold
        self._closed: list[Case] = []
        self._killed: set[str] = set()  # calls whose worker died

    def killed(self, case: Case) -> None:
        """The worker of a call died: what was not settled by then is charged in full."""
        self._closed.append(case)
        self._killed.add(case.call.id)

    def pays(self, request: Request) -> None:
        call, target = request.case.call, request.target
        name = f"{call.id}.{request.number}"
        if not self._covers(call.caller):
            return
        opened = self._vault.open_of(call.id)
        self.must(len(opened) == 1, f"I8: {name} goes out with {len(opened)} open holds")
        if len(opened) != 1:
            return
        hold = opened[0].hold
        request.hold = hold.id
        payer = (hold.spender.provider, hold.spender.model)
        self.must(hold.id not in self._paying, f"I8: {name} goes out on the hold of another")
        self.must(payer == (target.provider, target.model), f"{name} to {target} by {hold}")
        self._paying[hold.id] = request
        must = promise_for(call, target)
        self.must(hold.amount == must, f"{name} must promise {must}, not {hold.amount}")
        if call.endpoint is Endpoint.CHAT and not is_free(target):
            _, price_out = price_of(target)
            written = request.cap is not None
            self.must(written, f"{name} goes out without a cap on its output")
            self.must(
                not written or (request.cap or 0) * price_out <= hold.amount,
                f"{name} goes out with a cap of {request.cap}, which is not promised",
            )

    def closes(self, case: Case, now: float) -> None:
        self._closed.append(case)
        told = [each.amount for each in case.flight.paid]
        self.must(
            told == [each for each in map(self._due, case.requests) if each is not None],
            f"{case.call.id} is told {told} of {self._dues(case)}",
        )
        asked = {hold for hold in self._vault.failed if _is_of(hold, case)}
        denied = {hold for hold in self._vault.denied if _is_of(hold, case)}
        if isinstance(case.error, StoreUnavailable):
            self.must(bool(asked), f"{case.call.id} ends for want of a store that was there")
        if isinstance(case.error, BudgetExhausted):
            self.must(bool(denied), f"{case.call.id} ends for want of money that was there")

    def finishes(self) -> None:
        """All charges are through, or will never be: what the ledger says at last."""
        vault = self._vault
        for case in self._closed:
            id, covered = case.call.id, self._covers(case.call.caller)
            entries = {n: one for n, one in vault.entries.items() if n.startswith(f"{id}.")}
            charged = {n: one for n, one in entries.items() if one.state is not State.RELEASED}
            if not covered:
                amounts = [one.charged for _, one in sorted(charged.items(), key=_number)]
                lost = id in self._killed or any(n.startswith(f"{id}.") for n in vault.lost)
                self.must(lost or amounts == self._dues(case), f"{id} paid {amounts}")
                continue
            dues = {each.hold: self._due(each) for each in case.requests if each.hold}
            for hold, entry in entries.items():
                must = dues.get(hold)
                if entry.state is State.EXPIRED:
                    self.must(hold in vault.lost or id in self._killed, f"{hold} was left open")
                    self.must(entry.charged == entry.promised, f"{hold} expired by halves")
                elif must is None:
                    self.must(entry.state is State.RELEASED, f"{hold} paid {entry.charged}")
                else:
                    self.must(
                        entry.state is State.SETTLED and entry.charged == must,
                        f"{hold} is {entry.state} with {entry.charged}, and should have {must}",
                    )
        left = [each.hold.id for each in vault.entries.values() if each.state is State.OPEN]
        self.must(not left, f"holds are left open: {left}")

    def _dues(self, case: Case) -> Sequence[int]:
        return [each for each in map(self._due, case.requests) if each is not None]

    def _due(self, request: Request) -> int | None:
        entry = self._vault.entries.get(request.hold)
        promised = None if entry is None else entry.promised
        amount = due(request, promised=promised)
        sound = request.case.call.endpoint is Endpoint.AUDIO
        if self._scene.full and promised and not request.complete and not sound:
            return None if amount is None else promised
        return amount

    def _covers(self, caller: Caller) -> bool:
        scopes = ("global", f"team:{caller.team}", f"key:{caller.key_id}")
        return any(_hard(self._scene.budgets_of(scope)) for scope in scopes)


def _is_of(hold: str, case: Case) -> bool:
    return hold.startswith(f"{case.call.id}.")


def _hard(budgets: Sequence[Budget]) -> bool:
    return any(each.hard for each in budgets)


def _number(item: tuple[str, Entry]) -> int:
    return int(item[0].rpartition(".")[2])
