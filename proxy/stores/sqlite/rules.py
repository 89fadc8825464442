"""What becomes of a hold: reserved, charged, expired, refunded; each of them once.

(none) -- reserve --> R -- settle --> S      and of S, E and L, by a refund: F
  |                   R -- release -> X
  |                   R -- expire --> E -- settle or release --> L
  +- settle or release of what nobody knows --> S or X
"""

from proxy.core.money import (
    Balance,
    Bucket,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Moved,
    Refund,
    Settled,
    slot_of,
)
from proxy.stores.protocols import NO_BUCKET
from proxy.stores.sqlite.page import Held, Page


def reserve(page: Page, hold: Hold) -> Granted | Denied | Moved:
    """As `Ledger.reserve` says."""
    known = page.hold(hold.id)
    if known is not None and known.is_open:
        return Granted(page.balances(known.buckets))
    balances = page.balances([bucket.id for bucket in hold.buckets])
    if known is not None:
        return Denied(*next(zip(hold.buckets, balances, strict=True), (NO_BUCKET, Balance())))
    if any(not _present(bucket, page.wall) for bucket in hold.buckets):
        return Moved(page.wall)
    for bucket, balance in zip(hold.buckets, balances, strict=True):
        if bucket.limit is not None and balance.spent + hold.amount > bucket.limit:
            return Denied(bucket, balance)
    held = _new(hold, Kind.RESERVE, page.wall)
    return Granted(page.enter(held, hold.amount, "", reserved=hold.amount))


def settle(page: Page, hold: Hold, charge: Charge) -> Settled:
    """As `Ledger.settle` says."""
    released = charge.kind is Kind.RELEASE
    amount, wasted = (0, 0) if released else (charge.amount, charge.wasted)
    requests, promised, charged = 0 if released else 1, 0, 0
    held = page.hold(hold.id)
    if held is None:
        held = _new(hold, charge.kind, page.wall)
    elif held.is_open:
        held.state, promised = charge.kind, held.amount
    elif held.state is Kind.EXPIRE:
        # One request was counted then, all of it wasted: make it what it truly was.
        held.state, charged = Kind.LATE, held.charged
        requests, wasted = requests - 1, wasted - charged
    else:
        return Settled(page.balances(held.buckets), duplicate=True)
    held.charged, more = amount, amount - charged
    balances = page.enter(
        held,
        -promised if held.state is Kind.RELEASE else more,
        charge.reason,
        settled=more,
        reserved=-promised,
    )
    page.count(
        held,
        requests=requests,
        amount=more,
        listed=charge.listed,
        wasted=wasted,
        tokens=charge.tokens,
    )
    return Settled(balances, overrun=max(0, amount - held.amount))


def expire(page: Page, held: Held) -> Settled:
    """Charge an open hold in full: what may have been spent is spent, until proven otherwise."""
    amount = held.amount
    held.state, held.charged = Kind.EXPIRE, amount
    balances = page.enter(held, amount, "expired", settled=amount, reserved=-amount)
    page.count(held, requests=1, amount=amount, wasted=amount)
    return Settled(balances)


def refund(page: Page, held: Held, why: str) -> Refund:
    """Give back what a closed hold was charged; that is the end of it, late charges included."""
    amount = held.charged
    if amount:
        held.state, held.charged = Kind.REFUND, 0
        page.enter(held, -amount, why, settled=-amount)
        page.count(held, amount=-amount, refunded=amount)
    return Refund(held.id, amount)


def _present(bucket: Bucket, wall: float) -> bool:
    return bucket.start <= wall and (bucket.end is None or wall < bucket.end)


def _new(hold: Hold, state: Kind, wall: float) -> Held:
    return Held(
        hold.id,
        state,
        hold.amount,
        charged=0,
        slot=slot_of(wall),
        expires_at=wall + hold.ttl_s,
        buckets=tuple([bucket.id for bucket in hold.buckets]),
        spender=hold.spender,
        price_version=hold.price_version,
    )
