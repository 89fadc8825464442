"""The attempt engine in a world of its own, where time is virtual and all chance has one seed.

`loop.py` is an event loop whose timers cost no time. `world.py` holds the providers: organisations
with refilling quotas, and on top of them what a scenario (`scenarios.py`) has go wrong. `crowd.py`
sends calls and leaves in the middle of some. `rules.py` says what must never happen, whatever fails
when; `watch.py` holds every request and every move of the clock against it. `run.py` joins them.

Money is promised and charged in `ledger.py`, a store in memory that may be slow or away;
`tariff.py` says what each request must cost, `money.py` what must hold of it all. `crashes.py`
stops one call at each of its awaits.

The engine is the real one, with all that it shares, and so is what pays for it; only
`Provider.attempt` and the ledger are others. A seed that breaks a rule is run again, with its whole
history, by `python -m tests.simulation SCENARIO SEED`.
"""
