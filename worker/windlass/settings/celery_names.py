"""Celery's settings that are not settings here, each with the word its user deserves.

`MEANINGLESS`: accepted and reported (`conf.ignored`, `windlass report`), since what they tune does
not exist here and nothing is lost. `REFUSED`: an error, since dropping them would change what the
application does. `modern_name` maps Celery's old upper-case names to the lower-case ones.
"""

from __future__ import annotations

from windlass.settings.model import NAMES

_NO_PREFETCH = "a worker fetches only what it can run soon; there is no prefetch to tune"
_RECONNECTS = "a worker connects again for ever, with growing pauses, and says so in its log"
_NO_POOL = "connections are made as threads need them; there is no pool to size"
_NO_EXCHANGES = "queues are addressed by name; there are no exchanges"
_NO_GOSSIP = "workers keep no control or event queues on the broker"
_REDIS_OPTIONS = "connections are shared with the broker; use broker_transport_options"
_LATER_EVENTS = "task events come in a later version"
_LEASES = "leases and fencing tokens do this always"
_CHORDS = "joins are kept by the broker, not polled"

_BEAT_STATE = "beat keeps its state on the broker, after every fire"
_BEAT_REMOTE = "`windlass schedules` shows what beat does, without asking it"

MEANINGLESS: dict[str, str] = {
    "beat_enable_remote_control": _BEAT_REMOTE,
    "beat_remote_control_max_tick_age": _BEAT_REMOTE,
    "beat_schedule_filename": _BEAT_STATE,
    "beat_sync_every": _BEAT_STATE,
    "broker_channel_error_retry": _RECONNECTS,
    "broker_connection_max_retries": _RECONNECTS,
    "broker_connection_retry": _RECONNECTS,
    "broker_connection_retry_on_startup": _RECONNECTS,
    "broker_heartbeat": "the connection's health is checked by the worker itself",
    "broker_heartbeat_checkrate": "the connection's health is checked by the worker itself",
    "broker_native_delayed_delivery_queue_type": "the broker holds delayed messages natively",
    "broker_pool_acquire_timeout": _NO_POOL,
    "broker_pool_limit": _NO_POOL,
    "control_exchange": _NO_GOSSIP,
    "control_queue_durable": _NO_GOSSIP,
    "control_queue_exclusive": _NO_GOSSIP,
    "control_queue_expires": _NO_GOSSIP,
    "control_queue_ttl": _NO_GOSSIP,
    "event_exchange": _NO_GOSSIP,
    "event_queue_durable": _NO_GOSSIP,
    "event_queue_exclusive": _NO_GOSSIP,
    "event_queue_expires": _NO_GOSSIP,
    "event_queue_prefix": _NO_GOSSIP,
    "event_queue_ttl": _NO_GOSSIP,
    "event_serializer": _LATER_EVENTS,
    "redis_backend_health_check_interval": _REDIS_OPTIONS,
    "redis_max_connections": _NO_POOL,
    "redis_retry_on_timeout": _REDIS_OPTIONS,
    "redis_socket_connect_timeout": _REDIS_OPTIONS,
    "redis_socket_keepalive": _REDIS_OPTIONS,
    "redis_socket_timeout": _REDIS_OPTIONS,
    "result_backend_always_retry": "an outcome is stored with its acknowledgement, in one step",
    "result_backend_base_sleep_between_retries_ms": _REDIS_OPTIONS,
    "result_backend_max_retries": "an outcome is stored with its acknowledgement, in one step",
    "result_backend_max_sleep_between_retries_ms": _REDIS_OPTIONS,
    "result_backend_thread_safe": "results are always safe to use from threads",
    "result_cache_max": "results are not cached in the client",
    "result_chord_join_timeout": _CHORDS,
    "result_chord_retry_interval": _CHORDS,
    "result_exchange": _NO_EXCHANGES,
    "result_exchange_type": _NO_EXCHANGES,
    "result_persistent": "results are as durable as the broker",
    "task_create_missing_queue_exchange_type": _NO_EXCHANGES,
    "task_create_missing_queue_type": "a queue has one type here",
    "task_default_delivery_mode": "messages are as durable as the broker",
    "task_default_exchange": _NO_EXCHANGES,
    "task_default_exchange_type": _NO_EXCHANGES,
    "task_default_queue_type": "a queue has one type here",
    "task_default_routing_key": "queues are addressed by name; use task_default_queue",
    "task_queue_max_priority": "priorities 0 to 9 are always on",
    "task_reject_on_worker_lost": "a lost worker's message comes back, max_deliveries times",
    "task_remote_tracebacks": "the traceback is always there as text",
    "task_repr_maxlevels": "arguments are never shortened on the broker",
    "task_send_sent_event": _LATER_EVENTS,
    "worker_cancel_long_running_tasks_on_connection_loss": _LEASES,
    "worker_deduplicate_successful_tasks": _LEASES,
    "worker_detect_quorum_queues": _NO_PREFETCH,
    "worker_disable_prefetch": _NO_PREFETCH,
    "worker_enable_prefetch_count_reduction": _NO_PREFETCH,
    "worker_enable_soft_shutdown_on_idle": "every shutdown drains; use worker_drain_timeout",
    "worker_eta_task_limit": "the broker holds delayed messages, never the worker",
    "worker_lost_wait": "a lost process is noticed at once",
    "worker_pool_putlocks": _NO_PREFETCH,
    "worker_pool_restarts": "`windlass control pool_restart` works without it",
    "worker_pool_start_method": "processes are forked from one that never runs tasks",
    "worker_prefetch_multiplier": _NO_PREFETCH,
    "worker_proc_alive_timeout": "a dead process is replaced at once",
    "worker_redirect_stdouts": "what tasks print goes to the worker's standard output",
    "worker_redirect_stdouts_level": "what tasks print goes to the worker's standard output",
    "worker_send_task_events": _LATER_EVENTS,
    "worker_soft_shutdown_timeout": "every shutdown drains; use worker_drain_timeout",
    "worker_state_db": "revocations live on the broker",
    "worker_timer_precision": "the broker holds delayed messages, never the worker",
}

_SERIALIZER = "Messages are signed by message_signing: docs/how-to/sign-and-encrypt.md"
_URL = "Put it in broker_url"
_REQUEUE = "Raise Reject(requeue=True) in the task to have it run again"
_POOL = "Use the worker_pool setting"

REFUSED: dict[str, str] = {
    "beat_scheduler": "There is one scheduler, and schedules may be changed at run time: see "
    "app.schedules and `windlass schedules`",
    "broker_failover_strategy": "Use a sentinel:// or redis+cluster:// address in broker_url",
    "broker_host": _URL,
    "broker_login_method": _URL,
    "broker_password": _URL,
    "broker_port": _URL,
    "broker_read_url": "Reads and writes are one transaction here: use broker_url",
    "broker_transport": _URL,
    "broker_user": _URL,
    "broker_vhost": "Use the keyspace setting to keep applications apart",
    "broker_write_url": "Reads and writes are one transaction here: use broker_url",
    "cache_backend": "Use result_backend",
    "cache_backend_options": "Use result_backend",
    "database_url": "Results live in Redis today: use result_backend",
    "redis_db": "Put it in result_backend, which is the broker's own address",
    "redis_host": "Put it in result_backend, which is the broker's own address",
    "redis_password": "Put it in result_backend, which is the broker's own address",
    "redis_port": "Put it in result_backend, which is the broker's own address",
    "redis_username": "Put it in result_backend, which is the broker's own address",
    "result_chord_expires": "A join lives as long as its tasks: see task_join_lost_after",
    "result_failure_expires": "Use result_expires, which covers failures as well",
    "security_cert_store": _SERIALIZER,
    "security_certificate": _SERIALIZER,
    "security_digest": _SERIALIZER,
    "security_key": _SERIALIZER,
    "security_key_password": _SERIALIZER,
    "task_acks_on_failure": _REQUEUE,
    "task_acks_on_failure_or_timeout": _REQUEUE,
    "task_acks_on_timeout": "Catch SoftTimeLimitExceeded and raise Reject(requeue=True)",
    "task_inherit_parent_priority": "Pass priority= in the call",
    "task_protocol": "There is one message format here",
    "task_retry_on_worker_lost": "A lost worker's message always comes back, max_deliveries times",
    "worker_agent": _POOL,
    "worker_autoscaler": "Scale with the WorkerPool's autoscaling, or set worker_concurrency",
    "worker_consumer": _POOL,
    "worker_direct": "Give the worker a queue of its own with -Q",
    "worker_log_datefmt": "Use worker_log_format with logging's own date format",
    "worker_task_log_datefmt": "Use worker_log_format",
    "worker_task_log_format": "Use worker_log_format",
    "worker_timer": _POOL,
}
#: Settings of result stores that are not here yet.
_BACKEND_PREFIXES = (
    "arangodb_",
    "azureblockblob_",
    "cassandra_",
    "cosmosdbsql_",
    "couchbase_",
    "database_",
    "elasticsearch_",
    "gcs_",
    "mongodb_",
    "s3_",
)

_IRREGULAR = {
    "CELERYD_CONCURRENCY": "worker_concurrency",
    "CELERYD_LOG_COLOR": "worker_log_color",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "task_soft_time_limit",
    "CELERYD_TASK_TIME_LIMIT": "task_time_limit",
    "CELERY_DISABLE_RATE_LIMITS": "worker_disable_rate_limits",
    "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "task_eager_propagates",
    "CELERY_MAX_CACHED_RESULTS": "result_cache_max",
    "CELERY_REDIRECT_STDOUTS": "worker_redirect_stdouts",
    "CELERY_REDIRECT_STDOUTS_LEVEL": "worker_redirect_stdouts_level",
    "CELERY_SEND_EVENTS": "worker_send_task_events",
    "CELERY_SEND_TASK_SENT_EVENT": "task_send_sent_event",
    "CELERY_TASK_RESULT_EXPIRES": "result_expires",
}
_OLD_PREFIXES = ("CELERYBEAT_", "CELERYD_", "CELERY_", "")
_NEW_PREFIXES = {
    "CELERYBEAT_": ("beat_",),
    "CELERYD_": ("worker_", "task_"),
    "CELERY_": ("", "task_", "result_", "worker_"),
    "": ("",),
}


def is_known(name: str) -> bool:
    """Whether Celery or Windlass has a setting of this lower-case name."""
    return name in NAMES or name in MEANINGLESS or refusal(name) is not None


def refusal(name: str) -> str | None:
    """Why a Celery setting is refused and what to use; None when it is not a refused one."""
    if name in REFUSED:
        return REFUSED[name]
    if name.startswith(_BACKEND_PREFIXES):
        return "Results live in Redis today: use result_backend"
    return None


def modern_name(name: str) -> str | None:
    """Return the lower-case name of one of Celery's old upper-case settings, else None."""
    if not name.isupper():
        return None
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    for prefix in _OLD_PREFIXES:
        if not name.startswith(prefix):
            continue
        rest = name[len(prefix) :].lower()
        for new_prefix in _NEW_PREFIXES[prefix]:
            if is_known(new_prefix + rest):
                return new_prefix + rest
    return None
