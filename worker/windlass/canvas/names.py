"""Names of the tasks that every app has, see `windlass.canvas.builtins`."""

#: Joins the values of a group that is the end of a chain into one: a list in, the same list out.
GATHER = "windlass.gather"
#: Sends a workflow: what a schedule of one sends.
START = "windlass.start"
#: Call another task for each item; Celery's names, so that their dicts mean the same there.
MAP = "celery.map"
STARMAP = "celery.starmap"
#: Is a group of STARMAP, and no task.
CHUNKS = "celery.chunks"
