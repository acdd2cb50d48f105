-- Register as waiting for outcomes, and look at what is stored already.
-- KEYS[1] waiting ZSET ids somebody waits for, by the time they give up
-- KEYS[2..] result STRING one for each id, in order
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] wait_ms how long the caller will wait
-- ARGV[3..] ids
-- Returns: the stored outcomes, false where there is none.
-- Invariants: an outcome stored after this call is published; one stored before it is returned.
-- Complexity: O(ids * log waiting).
-- @include clock
-- @include admit
local waiting, FIRST_RESULT, FIRST_ID = KEYS[1], 2, 3
local now, found = clock(ARGV[1]), {}
local give_up = now + tonumber(ARGV[2])
admit(waiting, 0)
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now)
for i = FIRST_ID, #ARGV do
  redis.call('ZADD', waiting, 'GT', give_up, ARGV[i])
  found[i - FIRST_ID + 1] = redis.call('GET', KEYS[FIRST_RESULT + i - FIRST_ID])
end
return found
