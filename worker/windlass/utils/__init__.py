"""Public helpers under Celery's import paths: see `windlass.utils.log`."""
