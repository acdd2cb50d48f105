-- Give back what grants that ran out still own; at most 20 grants a call, or 1000 messages and the
-- rest of a grant.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> worker, ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] wake     LIST   wake tokens
-- KEYS[8] idle     STRING exists while a worker waits
-- KEYS[9] record   HASH   queue record
-- KEYS[10..19] r9 .. r0 LIST ids
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] cap      deliveries, where the record names none
-- Returns: {how many became ready, {id, token, JSON of the attempt, ..} of those at the cap, left for
--          bury.lua}.
-- Invariants: leased and expired -> ready at the front, deliveries + 1; at the cap it stays leased,
--             and expired, until it is buried.
-- Complexity: O(messages of the expired grants).
-- @include clock
-- @include admit
-- @include settle
-- @include attempts
-- @include put
local messages, attempts, leased, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local grants, left, wake_list, idle, record = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local now, cap, FIRST_READY = clock(ARGV[1]), tonumber(ARGV[2]), 10
cap = tonumber(redis.call('HGET', record, 'max_deliveries') or cap)
local ready, over, tokens, size = 0, {}, {}, 0
admit(leases, 0)
for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 20)) do
  tokens[#tokens + 1] = token
  size = size + tonumber(redis.call('HGET', left, token) or '0')
  if size >= 1000 then break end
end
-- The oldest grant last, so that it comes to the very front.
for t = #tokens, 1, -1 do
  local token = tokens[t]
  local packed = redis.call('HGET', grants, token)
  local worker, list = string.match(packed or '', '^([^\n]*)\n(.*)$')
  local ids, kept = list and cmsgpack.unpack(list) or {}, 0
  for i = #ids, 1, -1 do
    local id = ids[i]
    if owns(leased, id, token) then
      local c, lines = counters(attempts, id)
      local lost = cjson.encode({['end'] = 'lost', worker = worker, delivery = c[1] + 1,
        generation = c[3]})
      if c[1] + 1 >= cap then
        over[#over + 1], over[#over + 2], over[#over + 3], kept = id, token, lost, kept + 1
      else
        c[1] = c[1] + 1
        count(attempts, id, c, remembered(lines, now, lost))
        redis.call('HDEL', leased, id)
        settle(leases, grants, left, token, 1)
        local at = ready_list(FIRST_READY, messages, id)
        if at then
          redis.call('LPUSH', KEYS[at], id)
          ready = ready + 1
        end
      end
    end
  end
  -- Nothing of it is owned any more: the grant is a leftover.
  if kept == 0 then settle(leases, grants, left, token, 2 ^ 31) end
end
if ready > 0 then wake(idle, wake_list, ready) end
return {ready, over}
