"""What people, the CLI and the operator may see and set: depths, records, dead letters, workers.

The only part of the engine that `windlass_operator` imports, beside settings, errors, log, clock.
"""
