-- count(attempts, id, deliveries, handbacks): add to the counters; returns both.
local function count(attempts, id, deliveries, handbacks)
  local old = redis.call('HGET', attempts, id)
  if old then
    local d, h = string.match(old, '^(%d+):(%d+)$')
    deliveries, handbacks = deliveries + tonumber(d), handbacks + tonumber(h)
  end
  redis.call('HSET', attempts, id, deliveries .. ':' .. handbacks)
  return deliveries, handbacks
end

-- ready_list(keys_at, messages, id): index in KEYS of the ready list for the id's priority, given
-- that KEYS[keys_at] is r9 and KEYS[keys_at + 9] is r0; nil when the message is gone.
local function ready_list(keys_at, messages, id)
  local raw = redis.call('HGET', messages, id)
  if not raw then return nil end
  local priority = (string.byte(raw, 2) or 48) - 48
  if priority < 0 or priority > 9 then priority = 0 end
  return keys_at + 9 - priority
end
