-- bury(dead, obits, attempts, id, now, reason, detail, worker): make a dead letter; bytes untouched.
local function bury(dead, obits, attempts, id, now, reason, detail, worker)
  local d, h = string.match(redis.call('HGET', attempts, id) or '0:0', '^(%d+):(%d+)$')
  redis.call('ZADD', dead, now, id)
  redis.call('HSET', obits, id, cjson.encode({reason = reason, detail = detail, worker = worker,
    at_ms = now, deliveries = tonumber(d), handbacks = tonumber(h)}))
end
