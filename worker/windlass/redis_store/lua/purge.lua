-- Delete what waits in one queue (ready, scheduled, parked, blocked), a bounded part at a time.
-- KEYS[1] messages  HASH id -> bytes
-- KEYS[2] attempts  HASH counters
-- KEYS[3] scheduled ZSET priority digit + id
-- KEYS[4] parked    HASH id -> when, ms, and task name
-- KEYS[5] condemned SET  revoked ids in the ready lists
-- KEYS[6] thens     ZSET continuations
-- KEYS[7..16] r9 .. r0 LIST ids
-- KEYS[17] blocked  HASH id -> gate, place
-- KEYS[18] line     ZSET gate, place, id
-- ARGV[1] limit     messages from each place
-- Returns: {how many of them counted as waiting, 1 if more may be left else 0,
--          {id, its bytes without the body, ..} of those that may be parts of continuations: they are
--          failures now, see deliver.lua}.
-- Invariants: ready | scheduled | parked | blocked -> gone.
-- Complexity: O(13 * limit).
-- @include head
local messages, attempts, scheduled, parked, condemned = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local thens, limit, FIRST_READY, deleted, more = KEYS[6], tonumber(ARGV[1]), 7, 0, 0
local blocked, line = KEYS[17], KEYS[18]
local has_steps, steps = redis.call('ZCARD', thens) > 0, {}

local function note_step(id)
  local head = head_of(redis.call('HGET', messages, id) or '')
  if head and string.find(head, '"then":[', 1, true) then
    steps[#steps + 1], steps[#steps + 2] = id, head
  end
end

local function forget(ids)
  if #ids == 0 then return end
  if has_steps then
    for _, id in ipairs(ids) do note_step(id) end
  end
  redis.call('HDEL', messages, unpack(ids))
  redis.call('HDEL', attempts, unpack(ids))
  deleted = deleted + #ids - redis.call('SREM', condemned, unpack(ids))
  if #ids >= limit then more = 1 end
end

for level = 0, 9 do
  forget(redis.call('LPOP', KEYS[FIRST_READY + level], limit) or {})
end
local due, ids = redis.call('ZRANGE', scheduled, 0, limit - 1), {}
for i, member in ipairs(due) do ids[i] = string.sub(member, 2) end
if #due > 0 then redis.call('ZREM', scheduled, unpack(due)) end
forget(ids)
ids = redis.call('HRANDFIELD', parked, limit)
if #ids > 0 then redis.call('HDEL', parked, unpack(ids)) end
forget(ids)
ids = redis.call('HRANDFIELD', blocked, limit)
for _, id in ipairs(ids) do
  redis.call('ZREM', line, redis.call('HGET', blocked, id) .. '\n' .. id)
  redis.call('HDEL', blocked, id)
end
forget(ids)
return {deleted, more, steps}
