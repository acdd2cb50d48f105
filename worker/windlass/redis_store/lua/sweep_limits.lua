-- Put limits right after an accident: slots of messages that are leased no more, counts that do not fit
-- the slots, and gates of which nobody has told that they have room.
-- KEYS[1] limits HASH   task -> its limits, JSON
-- KEYS[2] holds  HASH   id -> token, queue, gates
-- KEYS[3] gates  HASH   slots in use, tokens, and who waits
-- KEYS[4] leased HASH   id -> token
-- KEYS[5] retry  ZSET   gate by the time at which what waits for it may be tried
-- KEYS[6] wake   LIST   wake tokens
-- KEYS[7] idle   STRING exists while a worker waits
-- ARGV[1] now_ms ms, '' for the server's clock
-- ARGV[2] queue  name
-- ARGV[3] cursor of HSCAN, '0' at first
-- Returns: {next cursor, how many messages let go of slots, {queue, gate, ..} of other queues in which
--          messages wait for those}; go on until the cursor is '0'.
-- Invariants: moves no message. A slot is freed only if the token that holds it owns the message no more.
-- Complexity: O(500) a call, and once O(slots + gates) while those are few thousands.
-- @include clock
-- @include put
-- @include slots
local limits, holds, gates, leased, retry = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local wake_list, idle = KEYS[6], KEYS[7]
local now, queue, cursor, FEW, DAY = clock(ARGV[1]), ARGV[2], ARGV[3], 5000, 86400000
local page = redis.call('HSCAN', holds, cursor, 'COUNT', 500)

local function lost_ones(found)
  local ids, tokens, lost, theirs = {}, {}, {}, {}
  for i = 1, #found, 2 do
    local token, name = string.match(found[i + 1], '^([^\n]*)\n([^\n]*)')
    if name == queue then ids[#ids + 1], tokens[#tokens + 1] = found[i], token end
  end
  local owners = #ids > 0 and redis.call('HMGET', leased, unpack(ids)) or {}
  for i, owner in ipairs(owners) do
    if owner ~= tokens[i] then lost[#lost + 1], theirs[#theirs + 1] = ids[i], tokens[i] end
  end
  return lost, theirs
end

local function cap_of(gate)
  local task = string.sub(gate, (string.find(gate, '\t', 1, true) or 1) + 1)
  local text = redis.call('HGET', limits, task)
  local spec, kind = text and cjson.decode(text) or {}, string.sub(gate, 1, 1)
  if kind == 'r' then return spec.rate and 1 or nil end
  if kind == 'k' then return spec.per_key end
  return spec.max
end

-- The counts are what the slots say.
local function count_again()
  if redis.call('HLEN', holds) > FEW or redis.call('HLEN', gates) > 4 * FEW then return end
  local used, kept = {}, redis.call('HGETALL', gates)
  for _, text in ipairs(redis.call('HVALS', holds)) do
    for gate in string.gmatch(string.match(text, '^[^\n]*\n[^\n]*(.*)$'), '[^\n]+') do
      used[gate] = (used[gate] or 0) + 1
    end
  end
  for i = 1, #kept, 2 do
    local kind, gate, value = string.sub(kept[i], 1, 1), string.sub(kept[i], 2), tonumber(kept[i + 1])
    if kind == 'n' and not used[gate] then redis.call('HDEL', gates, kept[i])
    elseif kind == 'n' and used[gate] ~= value then redis.call('HSET', gates, kept[i], used[gate])
    elseif kind == 't' and (value < now - DAY or not cap_of(gate)) then redis.call('HDEL', gates, kept[i])
    end
    if kind == 'n' then used[gate] = nil end
  end
  for gate, count in pairs(used) do redis.call('HSET', gates, 'n' .. gate, count) end
end

local freed, count = let_go(holds, gates, lost_ones(page[2]))
local woken, others = open_gates(gates, retry, queue, freed)
if cursor == '0' then
  count_again()
  for _, gate in ipairs(redis.call('ZRANGEBYSCORE', retry, '(' .. now, '+inf', 'LIMIT', 0, 1000)) do
    -- A rate may be another one than when its time was noted: whoever fetches looks anew.
    local cap = string.find(gate, '^[ck]') and cap_of(gate)
    if not cap or tonumber(redis.call('HGET', gates, 'n' .. gate) or '0') < cap then
      redis.call('ZADD', retry, 0, gate)
      woken = woken + 1
    end
  end
end
if woken > 0 then wake(idle, wake_list, woken) end
return {page[1], count, others}
