"""Names of the events that Windlass logs: what dashboards and alerts may rely on.

Past tense, constant; values travel as keys beside them, never inside the text. The table in
docs/reference/events.md is tested equal to this file: a name, its level, when it is logged.
"""

from __future__ import annotations

# The life of a worker
WORKER_CONFIGURED = "worker_configured"
WORKER_STARTED = "worker_started"
WORKER_DRAINING = "worker_draining"
WORKER_STOPPED = "worker_stopped"
WORKER_CORDONED = "worker_cordoned"
WORKER_UNCORDONED = "worker_uncordoned"
RESTART_REFUSED = "restart_refused"
FLAG_IGNORED = "flag_ignored"
SETTING_IGNORED = "setting_ignored"
PROBES_STARTED = "probes_started"

# Slots: the processes that run tasks
SLOT_STARTED = "slot_started"
SLOT_LOST = "slot_lost"
SLOT_RECYCLED = "slot_recycled"
SLOT_STALLED = "slot_stalled"
SLOT_KILLED = "slot_killed"
ZYGOTE_LOST = "zygote_lost"
TERMINATE_REFUSED = "terminate_refused"

# The broker
BROKER_CONNECTED = "broker_connected"
BROKER_CONNECTION_LOST = "broker_connection_lost"
BROKER_RECONNECTED = "broker_reconnected"
BROKER_WARNED = "broker_warned"
EXCHANGE_FAILED = "exchange_failed"
LEASE_KEEPER_FAILED = "lease_keeper_failed"
REMOTE_COMMAND_RECEIVED = "remote_command_received"
REMOTE_COMMAND_FAILED = "remote_command_failed"
CONTROL_LISTENER_FAILED = "control_listener_failed"
RESULT_LISTENER_FAILED = "result_listener_failed"
RESULTS_NOT_COPIED = "results_not_copied"
RESULTS_COPIED_AGAIN = "results_copied_again"

# One task
TASK_SUCCEEDED = "task_succeeded"
TASK_FAILED = "task_failed"
TASK_RETRIED = "task_retried"
TASK_REVOKED = "task_revoked"
TASK_IGNORED = "task_ignored"
TASK_HANDED_BACK = "task_handed_back"
TASK_DEAD_LETTERED = "task_dead_lettered"
TASK_PARKED = "task_parked"
PARKED_TOO_LONG = "parked_too_long"
TASK_NOT_RUN = "task_not_run"
WORKFLOWS_SWEPT = "workflows_swept"
LIMITS_DECLARED = "limits_declared"
SLOTS_FREED = "slots_freed"
TASKS_UNPARKED = "tasks_unparked"
TASK_HARD_LIMIT_PASSED = "task_hard_limit_passed"
TASK_HOOK_FAILED = "task_hook_failed"
OUTCOME_REFUSED = "outcome_refused"

# Leases
LEASES_LOST = "leases_lost"
LEASES_REAPED = "leases_reaped"

# Beat: periodic tasks
BEAT_CONFIGURED = "beat_configured"
BEAT_STARTED = "beat_started"
BEAT_STOPPED = "beat_stopped"
BEAT_LEAD_TAKEN = "beat_lead_taken"
BEAT_LEAD_LOST = "beat_lead_lost"
BEAT_BROKER_FAILED = "beat_broker_failed"
SCHEDULES_RECONCILED = "schedules_reconciled"
SCHEDULE_FIRED = "schedule_fired"
SCHEDULE_MISSED = "schedule_missed"
SCHEDULE_OVERLAPPED = "schedule_overlapped"
SCHEDULE_REFUSED = "schedule_refused"

# Signing and encryption
KEYS_CHANGED = "keys_changed"
KEYS_UNREADABLE = "keys_unreadable"

# The outbox in a database
OUTBOX_RELAY_STARTED = "outbox_relay_started"
OUTBOX_RELAY_FAILED = "outbox_relay_failed"
OUTBOX_ROW_SET_ASIDE = "outbox_row_set_aside"

# What an operator did by hand
MESSAGES_PURGED = "messages_purged"
