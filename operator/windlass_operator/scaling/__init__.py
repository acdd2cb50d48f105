"""How many workers a pool should have: pure functions of what was observed.

    smoothing   totals of a queue over time   -> arrivals a second, seconds a task
    demand      one queue                     -> slots it needs
    divide      needs of shared queues        -> each pool's part
    stabilize   wanted replicas over time     -> next replicas, without flapping
    decide      all of it for one pool        -> ScaleDecision, with its reason in words

No clock, no client, no logger: `now_s` is an argument and state goes in and out as frozen data.
"""
