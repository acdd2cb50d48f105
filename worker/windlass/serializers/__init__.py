"""Bytes <-> Python values by content type: the choice is in `registry`, one module a format."""
