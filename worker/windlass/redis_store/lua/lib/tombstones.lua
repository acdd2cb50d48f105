-- mark(revoked, signals, id, until_ms, signal): a tombstone, with the signal that ends a run.
local function mark(revoked, signals, id, until_ms, signal)
  redis.call('ZADD', revoked, until_ms, id)
  if signal ~= '' then redis.call('HSET', signals, id, signal) end
end

-- forget_marks(revoked, signals, now): drop tombstones whose time is over, a bounded part.
local function forget_marks(revoked, signals, now)
  local old = redis.call('ZRANGEBYSCORE', revoked, '-inf', now, 'LIMIT', 0, 500)
  if #old == 0 then return end
  redis.call('ZREM', revoked, unpack(old))
  redis.call('HDEL', signals, unpack(old))
end
