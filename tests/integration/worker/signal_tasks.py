"""An app whose receivers write down, by process, what they are told of messages."""

import os
from pathlib import Path

from windlass import Windlass
from windlass.exceptions import Reject
from windlass.signals import task_received, task_rejected

app = Windlass("signal_tasks")


def write(text: str) -> None:
    with (Path(os.environ["MARKS"]) / "told").open("a") as marks:
        marks.write(f"{os.getpid()} {text}\n")


@task_received.connect
def on_received(request, **_):
    write(f"received {request.id}")


@task_rejected.connect
def on_rejected(message, exc, **_):
    write(f"rejected {message.id} {type(exc).__name__}")


@app.task
def pid():
    return os.getpid()


@app.task
def refuse():
    raise Reject("no", requeue=False)
