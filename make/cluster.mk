# A real Kubernetes for the tests: see docs/how-to/test-cluster.md.
# NODES, METRICS=1 and PROVIDER=existing|kind|native say what cluster-up gives; ARGS goes to kubectl,
# helm and pytest.
NODES ?= 1
TARGET ?= worker
cluster_tool = PYTHONPATH=tests/cluster $(PY) -m windlass_cluster $(if $(PROVIDER),--provider $(PROVIDER))

.PHONY: test-operator cluster-up cluster-down cluster-status kubectl helm cluster-load test-kube test-cluster

cluster-up: venv ## bring up a Kubernetes for tests (NODES=2, METRICS=1, PROVIDER=…)
	@$(cluster_tool) up --nodes $(NODES) $(if $(METRICS),--metrics-server)

cluster-down: venv ## end that Kubernetes and everything it left
	@$(cluster_tool) down

cluster-status: venv ## say what of it is up
	@$(cluster_tool) status || test $$? -eq 3

cluster-load: venv ## build an image of this tree and load it into that Kubernetes (TARGET=worker|operator)
	@image=$$($(cluster_tool) build windlass.test/$(TARGET) --target $(TARGET)) \
		&& $(cluster_tool) load $$image && echo $$image

kubectl: venv ## run kubectl on that Kubernetes: make kubectl ARGS='get pods -A'
	@$(cluster_tool) kubectl $(ARGS)

helm: venv ## run helm on that Kubernetes: make helm ARGS='list -A'
	@$(cluster_tool) helm $(ARGS)

test-kube: venv ## tests on a real API server, without nodes
	@$(cluster_tool) --api-only prepare
	@$(PY) -m pytest tests/kube -q -n $(JOBS) --dist loadfile $(ARGS)

# ARGS may select tests of one of the two only: pytest calls that 5.
test-cluster: venv ## tests on a real API server and in a whole cluster; both are ended after them
	@$(cluster_tool) prepare
	@$(PY) -m pytest tests/kube -q -n $(JOBS) --dist loadfile $(ARGS) || test $$? -eq 5
	@$(PY) -m pytest tests/e2e -m "not long" -q $(ARGS) || test $$? -eq 5

test-operator: venv ## the chart, the main job, the examples, and what goes wrong meanwhile (10 minutes)
	@$(cluster_tool) prepare
	@$(PY) -m pytest tests/e2e/operator -q $(ARGS)
