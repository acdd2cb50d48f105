"""An outbox in Django's database: a task is sent if, and only if, its transaction commits.

    INSTALLED_APPS = [..., "windlass.contrib.django_outbox"]        # then: manage.py migrate

    from windlass.contrib.django_outbox import enqueue
    with transaction.atomic():
        order.save()
        enqueue(send_receipt, order.id)

`delay_on_commit` is lighter and loses the call if the process dies between commit and sending.
`windlass -A site outbox relay --django` publishes; `Outbox().start()` does so from this process.
Next in the walk: `windlass.contrib.django_outbox.outbox`.
"""

from windlass.contrib.django_outbox.outbox import Outbox, enqueue

__all__ = ["Outbox", "enqueue"]
