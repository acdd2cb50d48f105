.PHONY: docs

docs: venv ## write the pages of docs/reference that are made from code
	@$(PY) docs/generate_settings.py
	@$(PY) docs/generate_resources.py
