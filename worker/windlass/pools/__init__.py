"""Pools: the loops that run tasks in slot processes, and what each of them can do."""
