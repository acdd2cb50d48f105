.PHONY: crds

crds: ## copy crds/ to where the chart reads them
	@cp crds/*.yaml charts/windlass/files/crds/
