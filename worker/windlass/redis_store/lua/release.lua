-- Hand messages of one queue back to the front of their ready lists, in the order given.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] wake     LIST   wake tokens
-- KEYS[8] idle     STRING exists while a worker waits
-- KEYS[9..18] r9 .. r0 LIST ids
-- ARGV[1] n        messages; then for each: id, token, counted 0|1
-- Returns: the ids whose token was stale; nothing was done for them.
-- Invariants: leased -> ready at the front; deliveries untouched; handbacks + 1 when counted.
-- Complexity: O(n).
-- @include settle
-- @include attempts
-- @include put
local messages, attempts, leased, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local grants, left, wake_list, idle = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local n, FIRST_READY = tonumber(ARGV[1]), 9
local stale, released = {}, 0
for i = n, 1, -1 do
  local id, token, counted = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1] == '1'
  if not owns(leased, id, token) then
    stale[#stale + 1] = id
  else
    redis.call('HDEL', leased, id)
    settle(leases, grants, left, token, 1)
    local at = ready_list(FIRST_READY, messages, id)
    if at then
      redis.call('LPUSH', KEYS[at], id)
      released = released + 1
      if counted then
        local c, lines = counters(attempts, id)
        c[2] = c[2] + 1
        count(attempts, id, c, lines)
      end
    end
  end
end
if released > 0 then wake(idle, wake_list, released) end
return stale
