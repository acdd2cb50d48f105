-- Keep a worker's heartbeat; drop those that stopped, and waiters that gave up.
-- KEYS[1] workers HASH worker id -> status, JSON
-- KEYS[2] seen    ZSET worker id by the time its heartbeat expires
-- KEYS[3] cordon  HASH worker id -> cordoned until
-- KEYS[4] waiting ZSET ids somebody waited for, by the time they give up
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] worker  id
-- ARGV[3] ttl_ms  ms; 0 says goodbye
-- ARGV[4] status  JSON
-- Returns: until when this worker is cordoned, ms, 0 if it is not.
-- Invariants: touches no message.
-- Complexity: O(log workers).
-- @include clock
local workers, seen, cordon, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, worker, ttl, status = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
if ttl > 0 then
  redis.call('HSET', workers, worker, status)
  redis.call('ZADD', seen, now + ttl, worker)
else
  redis.call('ZADD', seen, now, worker)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now, 'LIMIT', 0, 50)) do
  redis.call('ZREM', seen, gone)
  redis.call('HDEL', workers, gone)
  redis.call('HDEL', cordon, gone)
end
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now)
return tonumber(redis.call('HGET', cordon, worker) or '0')
