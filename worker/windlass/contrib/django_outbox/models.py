"""The table, as in `windlass.contrib.sqlalchemy`: either can publish what the other wrote."""

from __future__ import annotations

from django.db import models


class OutboxRow(models.Model):
    """A row; see `windlass.transactional.rows.Row`."""

    position = models.BigAutoField(primary_key=True)
    id = models.CharField(max_length=255, unique=True)
    task = models.CharField(max_length=255)
    queue = models.CharField(max_length=120)
    message = models.BinaryField()
    created_ms = models.BigIntegerField()
    claimed_by = models.CharField(max_length=64, null=True, db_index=True)
    #: When the claim runs out, milliseconds since the epoch; 0 for none.
    claimed_until_ms = models.BigIntegerField(default=0)
    #: Why it can never be published; it stays until somebody deletes it or clears this.
    set_aside = models.TextField(null=True)

    class Meta:
        """One table, whatever the project's prefix."""

        app_label = "windlass_outbox"
        db_table = "windlass_outbox"
        ordering = ("position",)

    def __str__(self) -> str:
        return f"{self.task} {self.id}"
