# A long run that watches what grows.
MINUTES ?= 60
.PHONY: soak
soak: venv ## one worker for an hour of tasks and misfortunes: nothing may grow or be lost (MINUTES=60)
	@$(PY) tests/soak/run.py --minutes $(MINUTES)
