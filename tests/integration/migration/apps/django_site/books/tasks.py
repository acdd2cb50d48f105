from celery import shared_task
from celery.exceptions import MaxRetriesExceededError

from books.models import Book


@shared_task
def count_books():
    return Book.objects.count()


@shared_task(bind=True, max_retries=1, default_retry_delay=0)
def restock(self, book_id, copies):
    try:
        book = Book.objects.get(pk=book_id)
    except Book.DoesNotExist as error:
        try:
            raise self.retry(exc=error, countdown=0.01)
        except MaxRetriesExceededError:
            return None
    book.copies += copies
    book.save()
    return {"title": book.title, "copies": book.copies}
