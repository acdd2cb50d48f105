"""Kubernetes from its Go modules, in network namespaces of its own. Start at `provider.py`."""
