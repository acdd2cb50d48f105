-- Store continuations, then messages, in one step: the start of a workflow.
-- KEYS[1] messages HASH id -> bytes
-- KEYS[2] queues   SET  queue names
-- KEYS[3] thens    ZSET continuations by the time somebody last looked after them, ms
-- KEYS[4..] the keys of each queue sent to (targets); a record HASH for each continuation; a result
--          STRING for each of the traces, in order
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] names    of the queues sent to, commas between
-- ARGV[3] traces   msgpack list of ids of all messages that are sent now or later, where an earlier try may
--                  have started it; '' where not
-- ARGV[4] n        messages; then for each: queue, priority, id, due spec, expires spec, tail;
--                  then for each continuation: id, how many fields, and for each field: name, value
-- Returns: the indexes (from 0) of messages that were there already and were left as they are.
-- Invariants: fields that are there stay as they are; messages gone -> ready | scheduled (idempotent). A
--          workflow of which there is a trace, a message or a continuation or an outcome, is not started.
-- Complexity: O(n + fields).
-- @include clock
-- @include put
-- @include ended
-- @include targets
-- @include declare
local messages, queues, thens = KEYS[1], KEYS[2], KEYS[3]
local now, names, traces, n = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local at, record = targets(4, names)
local known, FIRST = {}, 5

local function was_started()
  local ids = cmsgpack.unpack(traces)
  local results = #KEYS - #ids
  for key = record, results do
    if redis.call('EXISTS', KEYS[key]) == 1 then return true end
  end
  for i, id in ipairs(ids) do
    if redis.call('HEXISTS', messages, id) == 1 or has_ended(KEYS[results + i]) then return true end
  end
  return false
end

if traces ~= '' and was_started() then
  for i = 0, n - 1 do known[i + 1] = i end
  return known
end
declare_all(now, thens, record, FIRST + 6 * n, #ARGV)
for i = 0, n - 1 do
  local a = FIRST + 6 * i
  local queue, priority, due = ARGV[a], tonumber(ARGV[a + 1]), absolute(now, ARGV[a + 3])
  local raw = stamp(now, priority, due, absolute(now, ARGV[a + 4]), ARGV[a + 5])
  if not send(now, messages, queues, at[queue], queue, priority, ARGV[a + 2], due, raw) then
    known[#known + 1] = i
  end
end
return known
