"""An app as small as they come: what its worker imports is the worker's own."""

from windlass import Windlass

app = Windlass("plain_tasks")


@app.task
def add(x, y):
    return x + y


@app.task
def add_later(x, y):
    return add.delay(x, y).id
