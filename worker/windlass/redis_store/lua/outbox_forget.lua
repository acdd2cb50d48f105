-- Forget an outcome on the broker, and give the generation at which it is forgotten elsewhere.
-- KEYS[1] outbox     ZSET   id by generation
-- KEYS[2] generation STRING the last
-- KEYS[3..] result   STRING one for each id, in order
-- ARGV[1..] ids
-- Returns: the generation; a copy of an older one that is still on its way is refused there.
-- Invariants: moves no message.
-- Complexity: O(ids log outbox).
local outbox, generation, FIRST_RESULT, FIRST_ID = KEYS[1], KEYS[2], 3, 1
local t = redis.call('TIME')
local next = math.max(tonumber(redis.call('GET', generation) or '0') + 1, t[1] * 1000000 + t[2])
next = string.format('%.0f', next)
redis.call('SET', generation, next)
for i = FIRST_ID, #ARGV do
  redis.call('ZREM', outbox, ARGV[i])
  redis.call('UNLINK', KEYS[FIRST_RESULT + i - 1])
end
return next
