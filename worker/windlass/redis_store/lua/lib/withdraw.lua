-- withdraw(messages, attempts, scheduled, parked, condemned, blocked, line, id, raw): take a message that
-- waits out of where it waits; one that is ready stays in its list, condemned. Returns the place.
local function withdraw(messages, attempts, scheduled, parked, condemned, blocked, line, id, raw)
  local was, place = 'QUEUED', redis.call('HGET', blocked, id)
  if place then
    redis.call('HDEL', blocked, id)
    redis.call('ZREM', line, place .. '\n' .. id)
    was = 'BLOCKED'
  elseif redis.call('ZREM', scheduled, string.sub(raw, 2, 2) .. id) == 1 then was = 'SCHEDULED'
  elseif redis.call('HDEL', parked, id) == 1 then was = 'PARKED' end
  if was == 'QUEUED' then
    redis.call('SADD', condemned, id)
  else
    redis.call('HDEL', messages, id)
    redis.call('HDEL', attempts, id)
  end
  return was
end
