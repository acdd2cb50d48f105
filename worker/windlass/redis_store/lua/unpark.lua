-- Make parked messages ready again whose task the caller knows.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] parked   HASH   id -> when, ms, and task name
-- KEYS[3] wake     LIST   wake tokens
-- KEYS[4] idle     STRING exists while a worker waits
-- KEYS[5..14] r9 .. r0 LIST ids
-- ARGV[1] cursor   of HSCAN, '0' at first
-- ARGV[2..] tasks  names the caller knows
-- Returns: {next cursor, how many became ready}; go on until the cursor is '0'.
-- Invariants: parked -> ready at the end.
-- Complexity: O(500 + tasks) a call.
-- @include attempts
-- @include put
local messages, parked, wake_list, idle, FIRST_READY = KEYS[1], KEYS[2], KEYS[3], KEYS[4], 5
local cursor, known, ready = ARGV[1], {}, 0
for i = 2, #ARGV do known[ARGV[i]] = true end
local page = redis.call('HSCAN', parked, cursor, 'COUNT', 500)
for i = 1, #page[2], 2 do
  local id, task = page[2][i], string.match(page[2][i + 1], '^%d+:(.*)$')
  if known[task] and redis.call('HDEL', parked, id) == 1 then
    local at = ready_list(FIRST_READY, messages, id)
    if at then
      redis.call('RPUSH', KEYS[at], id)
      ready = ready + 1
    end
  end
end
if ready > 0 then wake(idle, wake_list, ready) end
return {page[1], ready}
