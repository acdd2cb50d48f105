# Beat: measured, gating nothing.
.PHONY: bench-beat
bench-beat: venv ## measure beat with 1,000 and 10,000 schedules (ARGS=--quick for a shorter look)
	@PYTHONPATH=tests/support $(PY) tests/bench/beat_scale.py $(ARGS)
