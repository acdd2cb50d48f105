-- What of a queue is set aside: parked messages by task, dead letters by reason.
-- KEYS[1] parked HASH id -> when, ms, and task name
-- KEYS[2] obits  HASH id -> why it died, JSON
-- ARGV[1] most   messages looked at in each; of more, about so many, in the order of the hash: the
--                same ones while nothing changes
-- Returns: {parked, looked at, {task, count, ..}, dead, looked at, {reason, count, ..}}.
-- Invariants: reads only.
-- Complexity: O(most).
local parked, obits, most = KEYS[1], KEYS[2], tonumber(ARGV[1])

-- Counts what `name_of` makes of the values of a hash.
local function counted(hash, name_of)
  local total = redis.call('HLEN', hash)
  if total == 0 then return 0, 0, {} end
  local looked_at, counts, answer = 0, {}, {}
  local page = total <= most and redis.call('HGETALL', hash)
    or redis.call('HSCAN', hash, '0', 'COUNT', most)[2]
  for i = 2, #page, 2 do
    local name = name_of(page[i])
    counts[name] = (counts[name] or 0) + 1
    looked_at = looked_at + 1
  end
  for name, count in pairs(counts) do
    answer[#answer + 1] = name
    answer[#answer + 1] = count
  end
  return total, looked_at, answer
end

-- Quotes within the words of an obituary are escaped, so this is its own field.
local function reason_of(obit) return string.match(obit, '"reason":"([%w_]+)"') or 'unknown' end

local function task_of(value) return string.match(value, '^%d+:(.*)$') or value end

local waiting, waiting_seen, tasks = counted(parked, task_of)
local died, died_seen, reasons = counted(obits, reason_of)
return {waiting, waiting_seen, tasks, died, died_seen, reasons}
