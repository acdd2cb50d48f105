-- targets(first, names): queue name -> where in KEYS its 14 keys begin, for the names in a text with
-- commas between; the keys are r9 .. r0 LIST, scheduled ZSET, stats HASH, wake LIST, idle STRING.
-- Returns the index behind the last of them as well.
local function targets(first, names)
  local at = {}
  for name in string.gmatch(names, '[^,]+') do
    at[name], first = first, first + 14
  end
  return at, first
end

-- send(now, messages, queues, at, queue, priority, id, due, raw): put a new message where its time
-- says; an id that is there already is left as it is.
local function send(now, messages, queues, at, queue, priority, id, due, raw)
  if redis.call('HSETNX', messages, id, raw) == 0 then return false end
  place(now, KEYS[at + 9 - priority], KEYS[at + 10], KEYS[at + 12], KEYS[at + 13], id, priority, due)
  if redis.call('HINCRBY', KEYS[at + 11], 'enqueued', 1) == 1 then redis.call('SADD', queues, queue) end
  return true
end
