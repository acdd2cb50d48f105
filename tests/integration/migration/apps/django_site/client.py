import os

import django
from django.db import transaction

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_books.settings")
django.setup()

from books.models import Book  # noqa: E402 - as Django wants it
from books.tasks import count_books, restock  # noqa: E402 - likewise

book = Book.objects.create(title="Moby-Dick", copies=1)
print(count_books.delay().get(timeout=20))
print(restock.delay(book.pk, 2).get(timeout=20))
with transaction.atomic():
    late = Book.objects.create(title="Omoo")
    print(restock.delay_on_commit(late.pk, 5))
try:
    restock.apply_async((0, 1), countdown=0.1).get(timeout=20)
except Exception as error:
    print(type(error).__name__)
print(restock.delay(late.pk, 1).get(timeout=20))
