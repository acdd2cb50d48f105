"""A real Kubernetes for the tests: one interface, three ways to get it.

`existing` uses the cluster of a kubeconfig, `kind` asks a container engine, `native` builds
Kubernetes from its Go modules and runs it in network namespaces of its own. Start reading at
`providers.py` (the interface and the choice), then `cli.py` (what a person types) and
`pytest_plugin.py` (what a test asks for).
"""
