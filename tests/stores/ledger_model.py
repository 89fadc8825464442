"""What a ledger does, in forty lines: all in a dictionary, nothing at the same time."""

from dataclasses import dataclass, field

from proxy.core.money import (
    Balance,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Refund,
    Settled,
)


@dataclass
class Life:
    hold: Hold
    expires_at: float
    reserved: int = 0
    charged: int = 0
    state: str = "open"  # open | closed | expired


@dataclass
class LedgerModel:
    wall: float
    lives: dict[str, Life] = field(default_factory=dict)

    def balance(self, id: str) -> Balance:
        mine = [one for one in self.lives.values() if id in {b.id for b in one.hold.buckets}]
        return Balance(sum(one.charged for one in mine), sum(one.reserved for one in mine))

    def balances(self, hold: Hold) -> tuple[Balance, ...]:
        return tuple(self.balance(bucket.id) for bucket in hold.buckets)

    def reserve(self, hold: Hold) -> Granted | Denied:
        life = self.lives.get(hold.id)
        if life and life.state == "open":
            return Granted(self.balances(life.hold))
        for bucket in hold.buckets:
            balance = self.balance(bucket.id)
            limit = bucket.limit
            if life or (limit is not None and balance.spent + hold.amount > limit):
                return Denied(bucket, balance)
        self.lives[hold.id] = Life(hold, self.wall + hold.ttl_s, reserved=hold.amount)
        return Granted(self.balances(hold))

    def settle(self, hold: Hold, charge: Charge) -> Settled:
        life = self.lives.setdefault(hold.id, Life(hold, self.wall + hold.ttl_s))
        if life.state == "closed":
            return Settled(self.balances(life.hold), duplicate=True)
        life.charged = charge.amount if charge.kind is Kind.SETTLE else 0
        life.reserved, life.state = 0, "closed"
        return Settled(self.balances(life.hold), max(0, life.charged - life.hold.amount))

    def sweep(self) -> int:
        over = [one for one in self.lives.values() if one.state == "open"]
        over = [one for one in over if one.expires_at <= self.wall]
        for life in over:
            life.charged, life.reserved, life.state = life.reserved, 0, "expired"
        return len(over)

    def refund(self, call: str) -> set[Refund]:
        mine = [one for id, one in self.lives.items() if id == call or id[:-2] == call]
        mine = [one for one in mine if one.state != "open"]
        refunds = {Refund(one.hold.id, one.charged) for one in mine}
        for life in mine:
            life.state = "closed" if life.charged else life.state
            life.charged = 0
        return refunds
