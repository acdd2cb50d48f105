-- Declare, change, pause or resume a schedule: all in one step, if nobody has changed it meanwhile.
-- KEYS[1] schedule  HASH   the schedule
-- KEYS[2] schedules ZSET   name by the time of its next fire, ms; inf when there is none
-- KEYS[3] beat      ZSET   the same for the queue it sends to
-- KEYS[4] beat      ZSET   the same for the queue it sent to
-- KEYS[5] changes   STRING counts changes
-- ARGV[1] name
-- ARGV[2] channel   that tickers listen to
-- ARGV[3] expected  generation it has, 0: there is none of this name
-- ARGV[4] fresh     1: forget all that was before (last nominal time, counts, outcomes)
-- ARGV[5] fire_at   ms of its next fire, '' for none
-- ARGV[6..] for each field: name, value ('' removes it)
-- Returns: the generation it has now; 0 when the expected one was not found (nothing was done).
-- Invariants: touches no message. `last` is never written here, except that fresh forgets it.
-- Complexity: O(fields + log schedules).
local schedule, schedules, beat, old_beat, changes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local name, channel, expected, fresh = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local fire_at, FIRST = ARGV[5], 6
if tonumber(redis.call('HGET', schedule, 'generation') or '0') ~= expected then return 0 end
if fresh then redis.call('DEL', schedule) end
for i = FIRST, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', schedule, ARGV[i])
  else redis.call('HSET', schedule, ARGV[i], ARGV[i + 1]) end
end
redis.call('HSET', schedule, 'generation', expected + 1)
redis.call('ZREM', old_beat, name)
if fire_at == '' then
  redis.call('ZADD', schedules, 'inf', name)
else
  redis.call('ZADD', schedules, fire_at, name)
  redis.call('ZADD', beat, fire_at, name)
end
redis.call('INCR', changes)
redis.call('PUBLISH', channel, name)
return expected + 1
