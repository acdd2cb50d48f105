-- wake(idle, list, n): let n more blocked workers look again, if any is waiting. A token that nobody
-- has taken yet is somebody's who is about to block, so n are added to it, up to 16 in all.
local function wake(idle, list, n)
  if redis.call('EXISTS', idle) == 0 then return end
  for _ = 1, math.min(n, 16 - redis.call('LLEN', list)) do redis.call('LPUSH', list, '1') end
end

-- absolute(now, spec): '' is 0, '+500' is 500 ms from now, '=1700000000000' is that time; kept within
-- what six bytes hold, and never 0, which means none.
local function absolute(now, spec)
  if spec == '' then return 0 end
  local at = tonumber(string.sub(spec, 2))
  if string.byte(spec) == 43 then at = now + at end
  return math.max(1, math.min(at, 281474976710655))
end

-- place(now, ready, scheduled, wake, idle, id, priority, due): put one id where its time says.
-- A new head of the schedule wakes everyone who waits, so that they wait for the right time.
local function place(now, ready, scheduled, wake_list, idle, id, priority, due)
  if due <= now then
    redis.call('RPUSH', ready, id)
    return wake(idle, wake_list, 1)
  end
  local head = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
  redis.call('ZADD', scheduled, due, priority .. id)
  if not head[2] or due < tonumber(head[2]) then wake(idle, wake_list, 16) end
end

-- stamp(now, priority, due, expires, tail): the bytes of a message (windlass/messages.py).
local function stamp(now, priority, due, expires, tail)
  return struct.pack('>BBI6I6I6', 1, 48 + priority, now, due, expires) .. tail
end
