"""What was taken is given back."""

from collections import Counter

from proxy.access.bulkheads import Bulkheads
from proxy.core.call import Target
from proxy.upstream.breaker import Breakers
from proxy.upstream.keypool import KeyPool
from proxy.upstream.leases import LocalLeases
from proxy.upstream.quota import Quotas
from tests.simulation.watch import Request, Rule


class NothingLeaks(Rule):
    """Permits are held by requests and by nothing else; at the end, nobody holds anything."""

    def __init__(
        self,
        breakers: Breakers,
        leases: LocalLeases,
        quotas: Quotas,
        bulkheads: Bulkheads,
        pools: list[KeyPool],
    ) -> None:
        super().__init__()
        self._pools = pools
        self._breakers = breakers
        self._leases = leases
        self._quotas = quotas
        self._bulkheads = bulkheads
        self._in_flight: Counter[Target] = Counter()

    def begins(self, request: Request, now: float) -> None:
        self._in_flight[request.target] += 1

    def ends(self, request: Request, now: float) -> None:
        self._in_flight[request.target] -= 1

    def passes(self, now: float) -> None:
        for target, breaker in self._breakers.all():
            sent = self._in_flight[target]
            held = breaker.in_flight
            self.must(held == sent, f"{held} permits are held for {sent} requests to {target}")

    def finishes(self) -> None:
        self.passes(0.0)
        places = self._bulkheads._some
        waiting = sum(view.waiting for view in self._quotas.snapshot())
        busy = [key for pool in self._pools for key, n in pool._in_flight.items() if n]
        self.must(not +self._in_flight, f"requests go on: {dict(+self._in_flight)}")
        self.must(not places and not self._bulkheads.waiting, f"places are held: {list(places)}")
        self.must(not waiting, f"{waiting} stand in line for a quota")
        self.must(not busy, f"keys are held: {busy}")
        self.must(not self._leases._held, f"leases are held: {list(self._leases._held)}")
