-- Extend the grants of one queue.
-- KEYS[1] leases   ZSET token by deadline
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] lease_ms ms
-- ARGV[3..] tokens of the grants
-- Returns: the tokens that are gone: reaped, or settled in the meantime.
-- Invariants: moves no message; a grant that ran out but was not reaped yet lives on.
-- Complexity: O(tokens * log grants).
-- @include clock
-- @include admit
local leases = KEYS[1]
local now, lease_ms, FIRST = clock(ARGV[1]), tonumber(ARGV[2]), 3
local lost = {}
admit(leases, 0)
for i = FIRST, #ARGV do
  if redis.call('ZSCORE', leases, ARGV[i]) then
    redis.call('ZADD', leases, now + lease_ms, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
