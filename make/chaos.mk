# A storm of faults over a random workload, audited from a log outside Redis. The tests run a short one.
TASKS   ?= 100000
MINUTES ?= 10
SEED    ?= 1
# Kinds, commas between: see tests/chaos/chaos_faults.py. FAULTS=none: a calm run.
FAULTS  ?= kill_worker,kill_head,kill_slot,freeze,freeze_head,drain,redis_kill,redis_pause,cut,lost_reply,slow,partition,clock,cordon
FSYNC   ?= always
REPORT  ?= build/chaos

.PHONY: chaos chaos-mutants
chaos: venv ## 100,000 tasks in a storm of faults, and a report of every promise (TASKS=, MINUTES=, SEED=, FAULTS=, FSYNC=)
	@$(PY) tests/chaos/run.py --tasks $(TASKS) --minutes $(MINUTES) --seed $(SEED) --faults $(FAULTS) --fsync $(FSYNC) --report $(REPORT)

chaos-mutants: venv ## engines with a known fault, each of which the chaos suite must catch (minutes)
	@$(PY) tests/chaos/mutants.py

ROUNDS ?= 5
.PHONY: chaos-failover
chaos-failover: venv ## what failovers under Sentinel lose and double, by broker_publish_confirm (minutes)
	@$(PY) tests/chaos/failover.py --rounds $(ROUNDS)

.PHONY: chaos-operator
chaos-operator: venv ## the operator is killed while it scales down: its workers go on (minutes)
	@$(PY) tests/chaos/operator_kill.py
