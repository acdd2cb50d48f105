"""A Flask application with Celery, as Flask's documentation has it."""

import os

from celery import Celery, Task
from flask import Flask


def celery_init_app(app: Flask) -> Celery:
    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_mapping(
        CURRENCY="EUR",
        CELERY={
            "broker_url": os.environ["BROKER_URL"],
            "result_backend": os.environ["BROKER_URL"],
            "task_ignore_result": True,
            "broker_connection_retry_on_startup": True,
        },
    )
    celery_init_app(app)

    from . import views

    app.register_blueprint(views.bp)
    return app
