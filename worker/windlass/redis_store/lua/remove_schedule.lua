-- Remove a schedule. What it has sent stays.
-- KEYS[1] schedule  HASH   the schedule
-- KEYS[2] schedules ZSET   name by the time of its next fire, ms
-- KEYS[3] beat      ZSET   the same for the queue it sends to
-- KEYS[4] runs      HASH   id of a run -> how it ended
-- KEYS[5] changes   STRING counts changes
-- ARGV[1] name
-- ARGV[2] channel   that tickers listen to
-- ARGV[3] expected  generation it has
-- Returns: 1, or 0 when the expected generation was not found (nothing was done).
-- Invariants: touches no message. What is no schedule at all, under the name of one, goes too.
-- Complexity: O(runs that have not ended).
-- @include runs
local schedule, schedules, beat, runs, changes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local name, channel, expected = ARGV[1], ARGV[2], ARGV[3]
local kind = redis.call('TYPE', schedule).ok
if kind == 'none' then return 0 end
if kind == 'hash' then
  if (redis.call('HGET', schedule, 'generation') or '0') ~= expected then return 0 end
  for _, run in ipairs(runs_of(redis.call('HGET', schedule, 'active'))) do
    redis.call('HDEL', runs, run[2])
  end
end
redis.call('DEL', schedule)
redis.call('ZREM', schedules, name)
redis.call('ZREM', beat, name)
redis.call('INCR', changes)
redis.call('PUBLISH', channel, name)
return 1
