"""Brokers: the protocol in `base`, one module for each implementation."""
