"""The resources as Python sees them: one module a kind, agreeing with `crds/` by test.

The API server has checked and defaulted what comes in here (schema and CEL); the models turn words
into numbers (durations, memory) and check again, since a local file (`windlass up`) was not.
"""
