"""The app of test_random_canvases: the one task that every leaf of a random canvas calls."""

from random_canvases import make_task
from windlass import Windlass

app = Windlass("random_canvas_tasks")
leaf = make_task(app)
