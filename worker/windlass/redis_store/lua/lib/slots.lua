-- Slots: what runs at once. Hash `holds`: id -> token of its grant, its queue, and each gate in which
-- it has a slot, a line each. Hash `gates`: n<gate> slots in use, q<gate> queues in which messages
-- wait for one, commas between, t<gate> when the next token is counted from (limits.lua).

-- keep(key, fields): set fields of a hash that is looked up by many: never a listpack, which would be
-- searched from end to end each time.
local function keep(key, fields)
  if #fields == 0 then return end
  local is_new = redis.call('EXISTS', key) == 0
  if is_new then redis.call('HSET', key, '', string.rep('.', 65)) end
  for i = 1, #fields, 2000 do
    redis.call('HSET', key, unpack(fields, i, math.min(i + 1999, #fields)))
  end
  if is_new then redis.call('HDEL', key, '') end
end

-- let_go(holds, gates, ids, tokens): free the slots that ids hold under the token at the same index
-- (false: under any). Returns the gates that have room now (gate -> true), and how many ids let go.
local function let_go(holds, gates, ids, tokens)
  local freed, less, names, done, past = {}, {}, {}, {}, {}
  if #ids == 0 or redis.call('EXISTS', holds) == 0 then return freed, 0 end
  for i, text in ipairs(redis.call('HMGET', holds, unpack(ids))) do
    local at = text and not past[ids[i]] and string.find(text, '\n', 1, true)
    if at and (not tokens[i] or tokens[i] == string.sub(text, 1, at - 1)) then
      done[#done + 1], past[ids[i]] = ids[i], true
      at = string.find(text, '\n', at + 1, true)
      while at do
        local stop = string.find(text, '\n', at + 1, true)
        local gate = string.sub(text, at + 1, (stop or 0) - 1)
        if not less[gate] then names[#names + 1] = 'n' .. gate end
        less[gate], freed[gate], at = (less[gate] or 0) + 1, true, stop
      end
    end
  end
  if #done > 0 then redis.call('HDEL', holds, unpack(done)) end
  local count = #done
  if #names == 0 then return freed, count end
  local used, set, gone = redis.call('HMGET', gates, unpack(names)), {}, {}
  for i, name in ipairs(names) do
    local left = tonumber(used[i] or '0') - less[string.sub(name, 2)]
    if left > 0 then set[#set + 1], set[#set + 2] = name, left else gone[#gone + 1] = name end
  end
  if #set > 0 then redis.call('HSET', gates, unpack(set)) end
  if #gone > 0 then redis.call('HDEL', gates, unpack(gone)) end
  return freed, count
end

-- without(names, queue): the names in a text with commas between, but for one; nil for none.
local function without(names, queue)
  local kept = {}
  for name in string.gmatch(names or '', '[^,]+') do
    if name ~= queue then kept[#kept + 1] = name end
  end
  return kept[1] and table.concat(kept, ',')
end

-- note_waiting(gates, gate, queue, waits): note that messages of a queue wait for a slot, or do not.
local function note_waiting(gates, gate, queue, waits)
  local names = redis.call('HGET', gates, 'q' .. gate)
  local others = without(names, queue)
  local all = not waits and others or waits and (others and others .. ',' .. queue or queue)
  if all and all ~= names then redis.call('HSET', gates, 'q' .. gate, all)
  elseif not all and names then redis.call('HDEL', gates, 'q' .. gate) end
end

-- open_gates(gates, retry, queue, freed): let what waits in a queue for these gates (gate -> true) be
-- tried again. Returns how many of them somebody waits for, and queue, gate, .. of other queues.
local function open_gates(gates, retry, queue, freed)
  local names, woken, others = {}, 0, {}
  for gate in pairs(freed) do names[#names + 1] = gate end
  if #names == 0 then return 0, others end
  local fields = {}
  for i, gate in ipairs(names) do fields[i] = 'q' .. gate end
  for i, queues in ipairs(redis.call('HMGET', gates, unpack(fields))) do
    for name in string.gmatch(queues or '', '[^,]+') do
      local gate = names[i]
      if name ~= queue then
        others[#others + 1], others[#others + 2] = name, gate
      else
        -- Of a task whose keys take turns, they all wait together.
        local turns = 'F' .. string.sub(gate, 2)
        local there = redis.call('ZMSCORE', retry, gate, turns)
        if there[1] then redis.call('ZADD', retry, 0, gate) end
        if there[2] and string.sub(gate, 1, 1) == 'c' then redis.call('ZADD', retry, 0, turns) end
        if there[1] or there[2] then woken = woken + 1 else note_waiting(gates, gate, queue, false) end
      end
    end
  end
  return woken, others
end
