"""An app in whose slots the engine itself fails on one task: what no user code can bring about."""

from windlass import Windlass
from windlass.runtime import classify

app = Windlass("engine_error_tasks")
_returned = classify.returned


def _returned_or_not(run, value):
    if run.task is broken or run.task is broken_async:
        raise RuntimeError("the engine's own error")
    return _returned(run, value)


classify.returned = _returned_or_not


@app.task
def broken():
    return None


@app.task
async def broken_async():
    return None


@app.task
def fine():
    return "fine"
