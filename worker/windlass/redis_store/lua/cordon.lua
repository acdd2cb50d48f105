-- Cordon a worker until a time from now.
-- KEYS[1] cordon HASH worker id -> until, ms
-- ARGV[1] now_ms ms, '' for the server's clock
-- ARGV[2] worker id
-- ARGV[3] ttl_ms ms
-- Returns: until when, ms.
-- Invariants: moves no message; the next fetch of the worker gets none.
-- Complexity: O(1).
-- @include clock
local cordon = KEYS[1]
local now, worker, ttl = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
redis.call('HSET', cordon, worker, now + ttl)
return now + ttl
