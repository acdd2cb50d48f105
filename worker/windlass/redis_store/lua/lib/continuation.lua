-- Continuations (windlass/continuations.py): a hash with the fields
--   need     parts in all               have  parts that are there
--   v<i>     part i: its value          fail  the failure that ended the wait
--   h<i>     who else answers for part i: w<worker id>, c<continuation id>
--   plan     msgpack: cap in bytes, markers of the formats, chunks of releases, queues sent to
--   r<c>     a chunk of releases, msgpack; next: the first that is not sent
--   members  msgpack: ids and sources, for whoever looks after what never came
--   extra    indexes that were added to the declared ones, commas between; m<i>: id of such a member
-- With several formats a part is a msgpack list of values.

-- take_part(record, index, value, failure): note one part; true if it ended the wait.
-- A part that is there, or whose continuation is gone, has been counted: that is no error.
local function take_part(record, index, value, failure)
  local known = redis.call('HMGET', record, 'need', 'fail')
  if not known[1] or known[2] then return false end
  if redis.call('HSETNX', record, 'v' .. index, value) == 0 then return false end
  if failure ~= '' then
    redis.call('HSET', record, 'fail', failure)
    return true
  end
  return redis.call('HINCRBY', record, 'have', 1) == tonumber(known[1])
end

-- grow(record, index, added): add members to the continuation that part `index` is still missing in;
-- `added` is a msgpack list of index (as text), message id, ..
local function grow(record, index, added)
  local known = redis.call('HMGET', record, 'need', 'fail', 'v' .. index, 'extra')
  if not known[1] or known[2] or known[3] then return end
  local list, extra = cmsgpack.unpack(added), {known[4] or nil}
  for i = 1, #list, 2 do
    extra[#extra + 1] = list[i]
    redis.call('HSET', record, 'm' .. list[i], list[i + 1])
  end
  redis.call('HSET', record, 'extra', table.concat(extra, ','))
  redis.call('HINCRBY', record, 'need', #list / 2)
end

-- part_fields(record, need): names of the fields of all parts, in the order of their index.
local function part_fields(record, need)
  local extra, fields = {}, {}
  for index in string.gmatch(redis.call('HGET', record, 'extra') or '', '%d+') do
    extra[#extra + 1] = index
  end
  table.sort(extra, function(a, b) return tonumber(a) < tonumber(b) end)
  for i = 0, need - #extra - 1 do fields[#fields + 1] = 'v' .. i end
  for _, index in ipairs(extra) do fields[#fields + 1] = 'v' .. index end
  return fields
end

-- joiner(record, need, formats): a function that puts the values of a format side by side.
local function joiner(record, need, formats)
  local columns, made = nil, {}
  local function read()
    columns = {}
    for k = 1, #formats do columns[string.sub(formats, k, k)] = {} end
    local fields = part_fields(record, need)
    for first = 1, #fields, 1000 do
      local last = math.min(first + 999, #fields)
      for j, value in ipairs(redis.call('HMGET', record, unpack(fields, first, last))) do
        local each = #formats == 1 and {value} or cmsgpack.unpack(value)
        for k = 1, #formats do columns[string.sub(formats, k, k)][first + j - 1] = each[k] end
      end
    end
  end
  return function(marker, between)
    local name = marker .. between
    if marker == '' then return '' end
    if not made[name] then
      if not columns then read() end
      made[name] = table.concat(columns[marker], between)
    end
    return made[name]
  end
end

-- ordinary(release, join, now): due, expiry and the pieces of the tail of a released message.
local function ordinary(r, join, now)
  local _, _, _, due, expires, address, headers, before, between, after, takes = unpack(r)
  return absolute(now, due), absolute(now, expires),
    {address, struct.pack('>I4', #headers), headers, before, join(takes, between), after}
end

-- failing(release, failure): the same of the message that tells the task of a failure.
local function failing(r, failure)
  local _, queue, _, _, _, _, headers, _, _, _, _, errbacks, marks = unpack(r)
  local rest = string.sub(headers, 2)
  headers = '{' .. marks .. (rest == '}' and rest or ',' .. rest)
  return 0, 0, {struct.pack('>B', #queue), queue, '\0\13windlass.fail', struct.pack('>I4', #headers),
    headers, struct.pack('>I4', #errbacks), errbacks, failure}
end

-- release(now, messages, queues, thens, record, id, at): send what is left to be sent, about 1000
-- messages a call; the last one ends the record. Safe to repeat.
-- Returns '' when it waits or is gone, 'MORE' when a part is left, 'QUEUES' when the keys of a queue
-- were not given, 'LARGE' when a message would be too large.
local function release(now, messages, queues, thens, record, id, at)
  local need, have, plan, first, failure = unpack(redis.call('HMGET', record, 'need', 'have', 'plan',
    'next', 'fail'))
  if not need or (not failure and tonumber(have or '0') < tonumber(need)) then return '' end
  local cap, formats, chunks = unpack(cmsgpack.unpack(plan))
  local join, room = joiner(record, tonumber(need), formats), 1000
  for c = tonumber(first or '0'), chunks - 1 do
    if room <= 0 then return 'MORE' end
    local packed = redis.call('HGET', record, 'r' .. c)
    local chunk = packed and cmsgpack.unpack(packed) or {}
    for _, r in ipairs(chunk) do
      if not at[r[2]] then return 'QUEUES' end
      local size = #r[6] + 4 + #r[7] + #r[8] + #r[10]
      if not failure and size + #join(r[11], r[9]) > cap then return 'LARGE' end
    end
    for _, r in ipairs(chunk) do
      local message_id, queue, priority, feeds = r[1], r[2], r[3], r[14]
      local due, expires, tail
      if failure then due, expires, tail = failing(r, failure)
      else due, expires, tail = ordinary(r, join, now) end
      local raw = stamp(now, priority, due, expires, table.concat(tail))
      send(now, messages, queues, at[queue], queue, priority, message_id, due, raw)
      if feeds ~= '' then redis.call('ZADD', thens, 'XX', now, feeds) end
    end
    if c + 1 < chunks then redis.call('HSET', record, 'next', c + 1) end
    room = room - #chunk
  end
  redis.call('DEL', record)
  redis.call('ZREM', thens, id)
  return ''
end
