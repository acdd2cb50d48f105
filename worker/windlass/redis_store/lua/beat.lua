-- Keep a worker's heartbeat; drop those that stopped, and waiters, cordons, tombstones that ended.
-- KEYS[1] workers HASH worker id -> status, JSON
-- KEYS[2] seen    ZSET worker id by the time its heartbeat expires
-- KEYS[3] cordon  ZSET worker id by the time its cordon ends
-- KEYS[4] waiting ZSET ids somebody waited for, by the time they give up
-- KEYS[5] revoked ZSET tombstones by the time they expire
-- KEYS[6] signals HASH revoked id -> signal
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] worker  id
-- ARGV[3] ttl_ms  ms; 0 says goodbye
-- ARGV[4] status  JSON
-- Returns: until when this worker is cordoned, ms, 0 if it is not.
-- Invariants: touches no message.
-- Complexity: O(log workers).
-- @include clock
-- @include admit
-- @include tombstones
local workers, seen, cordon, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local revoked, signals = KEYS[5], KEYS[6]
local now, worker, ttl, status = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
admit(seen, #status)
if ttl > 0 then
  redis.call('HSET', workers, worker, status)
  redis.call('ZADD', seen, now + ttl, worker)
else
  redis.call('ZADD', seen, now, worker)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', now, 'LIMIT', 0, 50)) do
  redis.call('ZREM', seen, gone)
  redis.call('HDEL', workers, gone)
end
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now)
redis.call('ZREMRANGEBYSCORE', cordon, '-inf', now)
forget_marks(revoked, signals, now)
return tonumber(redis.call('ZSCORE', cordon, worker) or '0')
