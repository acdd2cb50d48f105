-- Cordon a worker until a time from now.
-- KEYS[1] cordon ZSET worker id by the time its cordon ends, ms
-- ARGV[1] now_ms ms, '' for the server's clock
-- ARGV[2] worker id
-- ARGV[3] ttl_ms ms
-- Returns: until when, ms.
-- Invariants: moves no message; the next fetch of the worker gets none.
-- Complexity: O(log workers).
-- @include clock
-- @include admit
local cordon = KEYS[1]
local now, worker, ttl = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
admit(cordon, 0)
redis.call('ZREMRANGEBYSCORE', cordon, '-inf', now)
redis.call('ZADD', cordon, now + ttl, worker)
return now + ttl
