"""The worker: a supervisor that speaks to the broker, and slots that run tasks."""
