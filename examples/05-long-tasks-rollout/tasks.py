"""A film takes long to render, and is not to be started anew because of a release."""

import os
import time

from windlass import Windlass

app = Windlass("films")


@app.task(bind=True, queue="films", track_started=True)
def render(self, seconds: float) -> list:
    """Render; return by which release, and how often it was begun or handed back before."""
    time.sleep(seconds)
    return [os.environ.get("RELEASE"), self.request.deliveries, self.request.handbacks]
