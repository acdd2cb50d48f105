"""Every setting, its type, default and meaning: one frozen validated model.

The names are Celery's lower-case ones wherever Celery has the setting. Each docstring says the
unit and, where it is not plain, why the default is what it is; docs/reference/settings.md is made
from them. `windlass.settings.conf` is the mutable facade in front of this; `sources` fills it.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from windlass.settings import fields
from windlass.settings.local_time import LocalTime
from windlass.settings.security import SecuritySettings

DEFAULT_PUBLISH_RETRY_POLICY: Mapping[str, float | None] = {
    "max_retries": 3,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 1,
}
#: Options of Celery's Redis transport that have no counterpart here: accepted, dropped.
_MEANINGLESS_TRANSPORT_OPTIONS = frozenset(
    {
        "fanout_patterns",
        "fanout_prefix",
        "global_keyprefix",
        "priority_steps",
        "queue_order_strategy",
        "sep",
        "unacked_restore_limit",
        "visibility_timeout",
    }
)


def without_meaningless(options: dict[str, Any]) -> dict[str, Any]:
    """Drop the options of Celery's Redis transport that have no counterpart here."""
    return {k: v for k, v in options.items() if k not in _MEANINGLESS_TRANSPORT_OPTIONS}


def checked_tls(value: Any) -> Any:
    """Accept True, False, or options whose names begin with ssl_."""
    if isinstance(value, dict) and not all(str(name).startswith("ssl_") for name in value):
        msg = "expected True, or options by names like ssl_ca_certs, ssl_certfile, ssl_cert_reqs"
        raise ValueError(msg)
    return value


#: Addresses that say: no results.
DISABLED_BACKENDS = ("disabled:", "cache+disabled:")


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class BrokerSettings(_Group):
    """Broker: where messages live and how to reach it."""

    broker_url: fields.Text | None = None
    """Address of the broker, e.g. `redis://:password@host:6379/0`, `rediss://` (TLS) or
    `unix:///path/to.sock`; `memory://` or `memory://name` inside one process, for tests. There is
    no default: what is not configured is an error that says so."""

    broker_connection_timeout: fields.Seconds = 4
    """Seconds to wait for a connection before the attempt counts as failed."""

    broker_transport_options: dict[str, Any] = {}
    """Options for the Redis connection, e.g. `{"socket_timeout": 30}`, `{"master_name": "main"}`
    (Sentinel), `{"password_file": "/etc/redis/password"}`. Options of Celery's transport that have
    no counterpart here (visibility_timeout and the like) are dropped."""

    broker_use_ssl: bool | dict[str, Any] | None = None
    """True, or options such as `{"ssl_ca_certs": "/etc/redis/ca.crt", "ssl_certfile": …,
    "ssl_keyfile": …}`: speak TLS, as a `rediss://` address says."""

    broker_publish_confirm: Literal["accepted", "replicated"] = "accepted"
    """When a call counts as sent: once the broker has stored it, or once a replica has it too (by
    WAIT, for broker_connection_timeout; then it fails, to be tried again)."""

    broker_allow_eviction: bool = False
    """Start a worker even on a broker whose maxmemory-policy may evict queued messages."""

    keyspace: str = "default"
    """The name that every key of this application carries on the broker; two keyspaces never meet.
    1 to 63 letters, digits, '-', '_' or '.'. In a cluster it is the Kubernetes namespace."""

    max_deliveries: fields.Count = 3
    """Deliveries that may end in a crash of the worker before a message becomes a dead letter. A
    queue record on the broker wins over it."""

    @field_validator("keyspace")
    @classmethod
    def _check_keyspace(cls, value: str) -> str:
        text = value.replace("-", "a").replace("_", "a").replace(".", "a")
        if not (0 < len(value) <= 63 and text.isascii() and text.isalnum()):
            msg = "expected 1 to 63 characters out of letters, digits, '-', '_' and '.'"
            raise ValueError(msg)
        return value

    @field_validator("broker_use_ssl")
    @classmethod
    def _check_broker_tls(cls, value: Any) -> Any:
        return checked_tls(value)

    @field_validator("broker_transport_options")
    @classmethod
    def _drop_celery_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        return without_meaningless(value)


class TaskSettings(_Group):
    """Tasks: how they are sent and run, unless a task or a call says otherwise."""

    imports: fields.ModuleNames = ()
    """Modules to import when the app is finalised, so that their tasks are known."""

    include: fields.ModuleNames = ()
    """More modules to import; the app's `include` argument ends up here."""

    task_default_queue: fields.QueueName = "default"
    """The queue of a call that nothing routes elsewhere."""

    task_default_priority: fields.Priority = 0
    """Priority of a call that names none: 0 to 9, higher is sooner."""

    task_default_rate_limit: fields.RateLimit | None = None
    """Rate limit of each task that sets none: "10/s", "100/m", "5/h". None: no limit."""

    task_rate_limit_scope: Literal["cluster", "worker"] = "cluster"
    """Whether a rate limit is of all workers together, or of each worker for itself, as Celery's.
    Tasks say otherwise with rate_limit_scope."""

    task_queues: fields.QueueNames = ()
    """Queues that a worker without -Q consumes. Empty: task_default_queue alone."""

    task_routes: Any = None
    """Where calls go: a mapping of task name (exact, glob, or compiled pattern) to a queue name or
    a dict of options, a function, a dotted path to a function, or a list of these."""

    task_annotations: Any = None
    """Options of tasks, changed from here: `{"shop.mail": {"rate_limit": "10/m"}, "*": {...}}`, an
    object with `annotate(task)`, a dotted path to one, or a list of these. Wins over the task's."""

    task_create_missing_queues: bool = True
    """Whether a queue that task_queues does not name may be used. False: using one is an error."""

    task_serializer: fields.Serializer = "json"
    """How arguments are written: json, msgpack or pickle."""

    task_compression: fields.Compression | None = None
    """How bodies above 1 KiB are made smaller: zlib (gzip) or zstd (`pip install windlass[zstd]`).
    The sender decides; workers unpack what comes, up to task_max_size_bytes. None: not at all."""

    accept_content: fields.ContentNames = frozenset({"json"})
    """Content types that a worker decodes; a message of another one becomes a dead letter. Allow
    pickle only if every producer on the broker is trusted: it runs code from the message."""

    task_max_size_bytes: fields.Bytes = 16 * 1024 * 1024
    """Largest message, in bytes: what is larger is refused in the caller."""

    task_ignore_result: bool = False
    """Store no result for tasks that do not say otherwise."""

    task_store_errors_even_if_ignored: bool = False
    """Store failures of tasks that ignore their result."""

    task_track_started: bool = False
    """Store the state STARTED when a task begins. Costs one write a task."""

    task_time_limit: fields.Seconds | None = None
    """Hard time limit in seconds: the process that runs the task is killed. None: no limit."""

    task_soft_time_limit: fields.Seconds | None = None
    """Soft time limit in seconds: SoftTimeLimitExceeded is raised inside the task."""

    task_acks_late: bool | None = None
    """None and True: a message is acknowledged with its outcome, so a crash means another run.
    False: acknowledged at start, so a crash is a FAILURE with WorkerLostError."""

    task_checkpoint_interval: fields.SecondsOrZero = 1
    """Seconds between two saves of a task's checkpoint; what it says in between is saved with the
    next one, a retry or a hand-back. So much progress a crash costs at most."""

    task_checkpoint_max_bytes: fields.Bytes = 256 * 1024
    """Largest checkpoint, in bytes: a larger one is refused in the task."""

    task_always_eager: bool = False
    """Run calls at once in the caller instead of sending them (for tests)."""

    task_eager_propagates: bool = False
    """Let eager calls raise the task's exception instead of keeping it in the result."""

    task_allow_error_cb_on_chord_header: bool = False
    """Let `chord.link_error` link the errback to each task of the header too, not to the body only.
    It may then be called several times for one chord."""

    task_join_lost_after: fields.Seconds = 600
    """Seconds after which a worker looks whether what a chain or chord waits for can still come. A
    join lives as long as its tasks do, whatever result_expires says; one whose tasks are nowhere
    any more (their messages were deleted, the client died while it sent them) ends as failed."""

    task_store_eager_result: bool = False
    """Store the results of eager calls in the result backend."""

    task_publish_retry: bool = True
    """Try again when the broker cannot be reached at the time of a call."""

    task_publish_retry_policy: dict[str, float | None] = dict(DEFAULT_PUBLISH_RETRY_POLICY)
    """max_retries (None: for ever), interval_start, interval_step and interval_max, in seconds.
    What is not named keeps its default."""

    timezone: fields.Text | None = None
    """IANA name of the app's time zone, e.g. "Europe/Paris": what a datetime without a zone means.
    None: UTC, or local time when enable_utc is False."""

    enable_utc: bool = True
    """Whether the app's time zone is UTC when `timezone` is not set."""

    @field_validator("task_routes")
    @classmethod
    def _check_routes(cls, value: Any) -> Any:
        if value is None or isinstance(value, str | Mapping | list | tuple) or callable(value):
            return value
        msg = "expected a mapping, a function, a dotted path, or a list of these"
        raise ValueError(msg)

    @field_validator("task_publish_retry_policy")
    @classmethod
    def _complete_policy(cls, value: dict[str, float | None]) -> dict[str, float | None]:
        for key, number in value.items():
            if key not in DEFAULT_PUBLISH_RETRY_POLICY:
                msg = f"unknown key {key!r}; expected {', '.join(DEFAULT_PUBLISH_RETRY_POLICY)}"
                raise ValueError(msg)
            if (number is None and key != "max_retries") or (number is not None and number < 0):
                msg = f"{key} is {number!r}; expected a number of at least 0"
                raise ValueError(msg)
        return {**DEFAULT_PUBLISH_RETRY_POLICY, **value}

    @field_validator("timezone", mode="before")
    @classmethod
    def _check_timezone(cls, value: Any) -> Any:
        name = getattr(value, "key", None) or getattr(value, "zone", None) or value
        if value is UTC:
            name = "UTC"
        if isinstance(name, str):
            try:
                zoneinfo.ZoneInfo(name)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
                msg = 'expected an IANA time zone, such as "UTC" or "Europe/Paris"'
                raise ValueError(msg) from error
        return name

    def tzinfo(self) -> tzinfo:
        """The app's time zone: what a datetime without a zone means."""
        if self.timezone is not None:
            return zoneinfo.ZoneInfo(self.timezone)
        return UTC if self.enable_utc else LocalTime()


class ResultSettings(_Group):
    """Results: where outcomes are kept, and how long."""

    result_backend: fields.Text | None = None
    """Where results are kept: the broker's own address, or "redis://" for it ("memory://" with a
    broker in memory): an outcome and its acknowledgement are one step. Another Redis: outcomes are
    copied there. None or "disabled://": results are off and cost nothing."""

    result_backend_transport_options: dict[str, Any] = {}
    """As broker_transport_options, for a result backend of its own."""

    redis_backend_use_ssl: bool | dict[str, Any] | None = None
    """As broker_use_ssl, for a result backend of its own."""

    result_serializer: fields.Serializer = "json"
    """How results are written: json, msgpack or pickle."""

    result_compression: fields.Compression | None = None
    """As task_compression, for results."""

    result_accept_content: fields.ContentNames | None = None
    """Content types of results that are decoded. None: as accept_content."""

    result_expires: fields.SecondsOrZero | None = 86400
    """Seconds (or a timedelta) that a result is kept: one day. None or 0: for ever, which fills the
    broker."""

    result_extended: bool = False
    """Store name, args, kwargs, worker, retries and queue with each result."""

    result_max_size_bytes: fields.Bytes = 16 * 1024 * 1024
    """Largest stored result, in bytes: a larger one makes its task a FAILURE."""

    @field_validator("redis_backend_use_ssl")
    @classmethod
    def _check_result_tls(cls, value: Any) -> Any:
        return checked_tls(value)

    @field_validator("result_backend_transport_options")
    @classmethod
    def _drop_result_options(cls, value: dict[str, Any]) -> dict[str, Any]:
        return without_meaningless(value)


class WorkerSettings(_Group):
    """Worker: what `windlass worker` does unless its flags say otherwise."""

    worker_concurrency: fields.Count | None = None
    """Tasks that run at the same time. None: as many as there are usable CPUs."""

    worker_pool: Literal["prefork", "threads", "asyncio", "solo"] = "prefork"
    """What runs the tasks."""

    worker_max_tasks_per_child: fields.Count | None = None
    """Tasks after which a slot's process is replaced. None: never."""

    worker_max_memory_per_child: fields.Count | None = None
    """Resident memory in KiB (as in Celery) above which a slot's process is replaced."""

    worker_lease_s: fields.Seconds = 15
    """Seconds that a worker owns a message without renewing; renewed every third of it. A lost
    worker's messages are ready again after at most this long."""

    worker_drain_timeout: fields.SecondsOrZero = 300
    """Seconds that running tasks get after SIGTERM; what is not done then is handed back. Keep it
    below the pod's termination grace period."""

    worker_enable_remote_control: bool = True
    """Answer `windlass inspect` and `windlass control`. Revokes are heard in any case."""

    worker_disable_rate_limits: bool = False
    """Ignore the rate limits of tasks."""

    worker_hijack_root_logger: bool = True
    """Whether the worker sets up the root logger. False: the application does."""

    worker_log_format: fields.Text | None = None
    """Format of the worker's log lines, in `logging`'s percent style. None: the built-in one."""

    worker_log_color: bool | None = None
    """Colours in the worker's log. None: on a terminal."""

    @field_validator("worker_pool", mode="before")
    @classmethod
    def _name_pool(cls, value: Any) -> Any:
        if value in ("gevent", "eventlet"):
            msg = f"expected 'asyncio' (async def tasks) or 'threads'; there is no {value} pool"
            raise ValueError(msg)
        return "prefork" if value == "processes" else value


class BeatSettings(_Group):
    """Beat: the periodic tasks that `windlass beat` sends."""

    beat_schedule: dict[str, dict[str, Any]] = {}
    """Periodic tasks: name to entry, e.g. `{"nightly": {"task": "shop.tasks.report", "schedule":
    crontab(minute=0, hour=3)}}`. docs/reference/schedules.md lists what an entry may say."""

    beat_max_loop_interval: fields.SecondsOrZero = 0
    """Seconds after which beat looks at the schedules at the latest, though changes wake it. 0:
    five seconds."""

    beat_cron_starting_deadline: fields.Seconds | None = None
    """Seconds after which a due time of a crontab that nobody could fire was missed, for entries
    that do not say `starting_deadline`. None: it is fired however late."""


class Settings(
    BrokerSettings, TaskSettings, ResultSettings, WorkerSettings, BeatSettings, SecuritySettings
):
    """All settings, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=False)

    @property
    def results_enabled(self) -> bool:
        """Whether results are stored anywhere."""
        backend = self.result_backend
        return backend is not None and not backend.startswith(DISABLED_BACKENDS)


GROUPS: tuple[type[BaseModel], ...] = (
    BrokerSettings,
    TaskSettings,
    ResultSettings,
    WorkerSettings,
    BeatSettings,
    SecuritySettings,
)
NAMES: frozenset[str] = frozenset(Settings.model_fields)
