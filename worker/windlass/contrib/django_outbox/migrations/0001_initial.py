"""The table `windlass_outbox`."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the table."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[object]] = [
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("id", models.CharField(max_length=255, unique=True)),
                ("task", models.CharField(max_length=255)),
                ("queue", models.CharField(max_length=120)),
                ("message", models.BinaryField()),
                ("created_ms", models.BigIntegerField()),
                ("claimed_by", models.CharField(db_index=True, max_length=64, null=True)),
                ("claimed_until_ms", models.BigIntegerField(default=0)),
                ("set_aside", models.TextField(null=True)),
            ],
            options={"db_table": "windlass_outbox", "ordering": ("position",)},
        )
    ]
