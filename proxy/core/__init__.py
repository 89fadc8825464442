"""The words all other parts speak. Imports nothing of the house.

A *call* is one parsed request; an *exchange* is its HTTP side; a *target* is a provider's model; a
*frame* is a run of whole SSE events (or a piece of any other body) as one network read brought it;
an *attempt* is one request to a provider. A call and its upstream work (a *flight*) have different
lives, so each has a record of its own.
"""
