"""The attempt engine in a world of its own, where time is virtual and all chance has one seed.

`loop.py` is an event loop whose timers cost no time. `world.py` holds the providers: organisations
with refilling quotas, and on top of them what a scenario (`scenarios.py`) has go wrong. `crowd.py`
sends calls and leaves in the middle of some. `rules.py` says what must never happen, whatever fails
when; `watch.py` holds every request and every move of the clock against it. `run.py` joins them.

The engine is the real one, with all that it shares; only `Provider.attempt` is another. A seed that
breaks a rule is run again, with its whole history, by `python -m tests.simulation SCENARIO SEED`.
"""
