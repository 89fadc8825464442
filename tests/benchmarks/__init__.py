"""What a call costs: the gateway beside a bare aiohttp reverse proxy, over a raw mock of Groq.

`python -m tests.benchmarks.run` (or `make bench`) measures; nothing here is a test and nothing is
timed by the tests. Four ideas:

* *Ratios, not figures.* Machines differ and neighbours are noisy. Each round runs the yardstick and
  the gateway back to back, in turns, and what counts is the median of the rounds' ratios.
* *CPU, not requests per second.* User and system time of the contender's whole process tree, over
  the calls or chunks that it served. Rates on two shared cores say more about the neighbours.
* *A contender has a core of its own* (0); the upstream and the load share the other.
* *Every answer is checked*, and the upstream says how many calls reached it: a gateway that fails,
  or quietly answers from its cache, would look fast.
"""
