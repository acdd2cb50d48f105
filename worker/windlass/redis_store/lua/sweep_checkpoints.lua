-- Forget checkpoints whose message is gone.
-- KEYS[1] messages    HASH id -> bytes
-- KEYS[2] checkpoints HASH id -> see checkpoint.lua
-- KEYS[3] checked     ZSET id by the time its checkpoint was saved or looked at last, ms
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] older   only those that nobody looked at for so long, ms
-- ARGV[3] limit   so many at most
-- Returns: how many were forgotten.
-- Invariants: moves no message.
-- Complexity: O(limit * log checkpoints).
-- @include clock
local messages, checkpoints, checked = KEYS[1], KEYS[2], KEYS[3]
local now, older, limit = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local forgotten = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', checked, '-inf', now - older, 'LIMIT', 0, limit)) do
  if redis.call('HEXISTS', messages, id) == 1 then
    redis.call('ZADD', checked, now, id)
  else
    redis.call('HDEL', checkpoints, id)
    redis.call('ZREM', checked, id)
    forgotten = forgotten + 1
  end
end
return forgotten
