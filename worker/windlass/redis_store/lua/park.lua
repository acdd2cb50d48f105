-- Set a message aside whose task is unknown to the worker that met it.
-- KEYS[1] leased HASH   id -> token
-- KEYS[2] leases ZSET   token by deadline
-- KEYS[3] grants HASH   token -> ids
-- KEYS[4] left   HASH   token -> unsettled
-- KEYS[5] parked HASH   id -> when, ms, and task name
-- KEYS[6] stats  HASH   counters
-- ARGV[1] now_ms ms, '' for the server's clock
-- ARGV[2] id     the message
-- ARGV[3] token  its grant
-- ARGV[4] task   name
-- Returns: the id in a list when its token was stale (nothing was done), else an empty list.
-- Invariants: leased -> parked, uncounted; stats.parks tells workers to look whether they know it.
-- Complexity: O(1).
-- @include clock
-- @include settle
local leased, leases, grants, left, parked, stats = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local now, id, token, task = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
if not owns(leased, id, token) then return {id} end
redis.call('HDEL', leased, id)
settle(leases, grants, left, token, 1)
redis.call('HSET', parked, id, string.format('%d:%s', now, task))
redis.call('HINCRBY', stats, 'parks', 1)
return {}
