"""The application that INSTALLED_APPS names."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Has one model, the table `windlass_outbox`."""

    name = "windlass.contrib.django_outbox"
    label = "windlass_outbox"
    verbose_name = "Windlass outbox"
    default_auto_field = "django.db.models.BigAutoField"
