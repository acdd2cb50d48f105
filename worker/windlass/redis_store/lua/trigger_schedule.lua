-- Fire a schedule by hand, beside its times: also while it is paused, whatever its overlap policy.
-- KEYS[1] schedule  HASH   the schedule
-- KEYS[2] runs      HASH   id of a run -> how it ended
-- KEYS[3] messages  HASH   id -> bytes
-- KEYS[4] queues    SET    queue names
-- KEYS[5] ready     LIST   ids of this priority
-- KEYS[6] scheduled ZSET   priority digit + id by due time, ms
-- KEYS[7] stats     HASH   counters
-- KEYS[8] wake      LIST   wake tokens
-- KEYS[9] idle      STRING exists while a worker waits
-- KEYS[10] dead     ZSET   dead letters
-- KEYS[11] condemned SET   revoked ids in the ready lists
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] generation it was decided for
-- ARGV[3] nominal   ms, the time that the run is told
-- ARGV[4] queue     name
-- ARGV[5] priority  0-9
-- ARGV[6] id        of the message
-- ARGV[7] due       spec
-- ARGV[8] expires   spec
-- ARGV[9] tail
-- Returns: 1, or 0 when it is gone or was changed (nothing was done).
-- Invariants: gone -> ready | scheduled; `last` stays. An id that is there stays as it is; the id
--          that it was fired with last is not fired again, whatever became of it.
-- Complexity: O(runs that have not ended).
-- @include clock
-- @include put
-- @include runs
-- @include schedule
local schedule, runs, messages, queues, ready = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local scheduled, stats, wake_list, idle = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local dead, condemned = KEYS[10], KEYS[11]
local now, generation, nominal, queue = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local priority, id, due, expires, tail = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local kept = redis.call('HMGET', schedule, 'generation', 'triggered_id')
if kept[1] ~= generation then return 0 end
if kept[2] == id then return 1 end
local active = fold(schedule, runs, messages, dead, condemned, now)
local when = absolute(now, due)
local raw = stamp(now, priority, when, absolute(now, expires), tail)
if redis.call('HSETNX', messages, id, raw) == 1 then
  place(now, ready, scheduled, wake_list, idle, id, priority, when)
  if redis.call('HINCRBY', stats, 'enqueued', 1) == 1 then redis.call('SADD', queues, queue) end
  note_run(runs, active, nominal, id)
end
redis.call('HSET', schedule, 'active', table.concat(active, ','), 'triggered_id', id)
redis.call('HINCRBY', schedule, 'triggered', 1)
return 1
