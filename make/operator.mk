.PHONY: crds

crds: ## copy crds/ to where the chart reads them
	@cp crds/*.yaml charts/windlass/files/crds/

.PHONY: bench-operator
bench-operator: venv ## measure the operator with 1,000 pools and 2,000 queues (ARGS='100 200' for fewer)
	@PYTHONPATH=tests/support:tests/cluster $(PY) tests/bench/operator_scale.py $(ARGS)
