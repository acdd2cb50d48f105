-- Fire one nominal time of a schedule: compare, move, enqueue, in one step and once for ever.
-- KEYS[1] schedule  HASH   the schedule
-- KEYS[2] schedules ZSET   name by the time of its next fire, ms; inf when there is none
-- KEYS[3] beat      ZSET   the same for the queue it sends to
-- KEYS[4] runs      HASH   id of a run -> how it ended
-- KEYS[5] messages  HASH   id -> bytes
-- KEYS[6] queues    SET    queue names
-- KEYS[7] ready     LIST   ids of this priority
-- KEYS[8] scheduled ZSET   priority digit + id by due time, ms
-- KEYS[9] stats     HASH   counters
-- KEYS[10] wake     LIST   wake tokens
-- KEYS[11] idle     STRING exists while a worker waits
-- KEYS[12] dead     ZSET   dead letters
-- KEYS[13] condemned SET   revoked ids in the ready lists
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] name
-- ARGV[3] generation it was decided for
-- ARGV[4] nominal   ms, the time that is dealt with
-- ARGV[5] fire_at   ms, not to be fired before
-- ARGV[6] next      ms, the fire time of the next nominal time, '' for none
-- ARGV[7] missed    due times up to this one that are never fired
-- ARGV[8] fires     1: fire it; 0: it was missed as well, only move on
-- ARGV[9] overlap   'Allow', 'Forbid', 'Replace'
-- ARGV[10] max_runs 0: no limit
-- ARGV[11] queue    name
-- ARGV[12] priority 0-9
-- ARGV[13] id       of the message
-- ARGV[14] due      spec
-- ARGV[15] expires  spec
-- ARGV[16] tail
-- ARGV[17] latest   ms, not to be fired after, '' for no limit
-- Returns: {what, now}: 'FIRED', 'MISSED', 'OVERLAP' (an earlier run has not ended: passed over); or
--          nothing was done: 'PAST' (dealt with before), 'CHANGED', 'GONE', 'PAUSED', 'EARLY',
--          'LATE'.
-- Invariants: gone -> ready | scheduled, together with `last`, which only grows; a nominal time at or
--          before it is refused for ever.
-- Complexity: O(log schedules + runs that have not ended).
-- @include clock
-- @include put
-- @include runs
-- @include schedule
local schedule, schedules, beat, runs, messages = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local queues, ready, scheduled, stats = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local wake_list, idle, dead, condemned = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local now, name, generation, nominal = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local fire_at, next_at, missed, fires = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7]), ARGV[8] == '1'
local overlap, max_runs, queue, priority = ARGV[9], tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])
local id, due, expires, tail, latest = ARGV[13], ARGV[14], ARGV[15], ARGV[16], ARGV[17]
local kept = redis.call('HMGET', schedule, 'generation', 'last', 'paused', 'fired')
if not kept[1] then return {'GONE', now} end
if kept[1] ~= generation then return {'CHANGED', now} end
if kept[3] then return {'PAUSED', now} end
if nominal <= tonumber(kept[2] or '0') then return {'PAST', now} end
if fire_at > now then return {'EARLY', now} end
if fires and latest ~= '' and now > tonumber(latest) then return {'LATE', now} end
local what, fired = fires and 'FIRED' or 'MISSED', tonumber(kept[4] or '0')
local active = fold(schedule, runs, messages, dead, condemned, now)
if fires and overlap == 'Forbid' and #active > 0 then what = 'OVERLAP' end
if missed > 0 then
  redis.call('HINCRBY', schedule, 'missed', missed)
  redis.call('HSET', schedule, 'last_missed', ARGV[4])
end
if what == 'OVERLAP' then redis.call('HINCRBY', schedule, 'overlaps', 1) end
if what == 'FIRED' then
  local when = absolute(now, due)
  local raw = stamp(now, priority, when, absolute(now, expires), tail)
  if redis.call('HSETNX', messages, id, raw) == 1 then
    place(now, ready, scheduled, wake_list, idle, id, priority, when)
    if redis.call('HINCRBY', stats, 'enqueued', 1) == 1 then redis.call('SADD', queues, queue) end
  end
  fired = fired + 1
  note_run(runs, active, nominal, id)
  redis.call('HSET', schedule, 'last', ARGV[4], 'active', table.concat(active, ','), 'fired', fired,
    'fired_at', now, 'last_fired', ARGV[4])
else
  redis.call('HSET', schedule, 'last', ARGV[4], 'active', table.concat(active, ','))
end
if next_at == '' or (max_runs > 0 and fired >= max_runs) then
  redis.call('ZADD', schedules, 'inf', name)
  redis.call('ZREM', beat, name)
else
  redis.call('ZADD', schedules, next_at, name)
  redis.call('ZADD', beat, next_at, name)
end
return {what, now}
