-- bury(dead, obits, c, id, now, reason, detail, worker): make a dead letter of a message with these
-- counters; bytes untouched.
local function bury(dead, obits, c, id, now, reason, detail, worker)
  redis.call('ZADD', dead, now, id)
  redis.call('HSET', obits, id, cjson.encode({reason = reason, detail = detail, worker = worker,
    at_ms = now, deliveries = c[1], handbacks = c[2], generation = c[3]}))
end
