-- owns(leased, id, token): whether the grant still owns the message. Anything else is stale.
local function owns(leased, id, token)
  return redis.call('HGET', leased, id) == token
end

-- settle(leases, grants, left, token, n): n messages of the grant are settled; the last closes it.
local function settle(leases, grants, left, token, n)
  if redis.call('HINCRBY', left, token, -n) > 0 then return end
  redis.call('HDEL', left, token)
  redis.call('HDEL', grants, token)
  redis.call('ZREM', leases, token)
end
