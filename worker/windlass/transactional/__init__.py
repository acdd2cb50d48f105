"""Sending in a database's transaction: rows of an outbox table, and the relay that publishes them.

The tables are in `windlass.contrib.sqlalchemy` and `windlass.contrib.django_outbox`.
Next in the walk: `windlass.transactional.rows`, then `windlass.transactional.relay`.
"""
