"""A Django project in one file: writes in transactions, relays, and says what it saw.

Arguments: DATABASE FILE, BROKER.
"""

from __future__ import annotations

import json
import sys
import time

import django
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from windlass import Windlass

file, broker = sys.argv[1:]
settings.configure(
    INSTALLED_APPS=["windlass.contrib.django_outbox"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": file}},
    USE_TZ=True,
)
django.setup()
app = Windlass("shop", broker=broker)


@app.task(name="shop.receipt")
def receipt(number: int) -> int:
    return number


class NothingError(Exception):
    """Rolls back."""


def main() -> None:
    """Print what is to be true as JSON."""
    # Models exist once the apps are loaded.
    from windlass.contrib.django_outbox import Outbox, enqueue
    from windlass.contrib.django_outbox.models import OutboxRow
    from windlass.contrib.django_outbox.outbox import DjangoStore
    from windlass.transactional.relay import Relay

    call_command("migrate", verbosity=0)
    call_command("makemigrations", "--check", verbosity=0)
    with transaction.atomic():
        committed = [enqueue(receipt, n).id for n in range(3)]
    try:
        with transaction.atomic():
            enqueue(receipt, 9)
            raise NothingError
    except NothingError:
        pass
    OutboxRow.objects.filter(id=committed[0]).update(message=b"junk")
    step = Relay(app, DjangoStore()).run_once()
    aside = DjangoStore().set_aside_rows()
    outbox = Outbox(app)
    outbox.start(interval_s=3600)
    with transaction.atomic():
        late = outbox.enqueue(receipt.s(5)).id
    deadline = time.monotonic() + 20
    while OutboxRow.objects.filter(set_aside=None).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    outbox.stop()
    print(
        json.dumps(
            {
                "sent": [*committed[1:], late],
                "published": step.published,
                "set_aside": [id_ for id_, _, _ in aside] == [committed[0]],
                "left": OutboxRow.objects.filter(set_aside=None).count(),
            }
        )
    )


main()
