-- Take continuations that nobody has looked after for a while, the longest first, to look after them.
-- KEYS[1] thens   ZSET continuations by the time somebody last looked after them, ms
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] age     ms since they were last looked at
-- ARGV[3] limit   how many
-- Returns: their ids.
-- Invariants: whoever takes one has it for `age`: others pass it over.
-- Complexity: O(limit * log continuations).
-- @include clock
-- @include admit
local thens, now = KEYS[1], clock(ARGV[1])
local age, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local ids = redis.call('ZRANGEBYSCORE', thens, '-inf', now - age, 'LIMIT', 0, limit)
admit(thens, 0)
for _, id in ipairs(ids) do redis.call('ZADD', thens, now, id) end
return ids
