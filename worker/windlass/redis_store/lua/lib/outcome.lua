-- store(key, payload, ttl_ms): keep an encoded outcome; ttl 0 keeps it for ever.
local function store(key, payload, ttl)
  if tonumber(ttl) > 0 then redis.call('SET', key, payload, 'PX', ttl)
  else redis.call('SET', key, payload) end
end

-- announce(waiting, channel_prefix, id, payload): publish, only if somebody waits for it.
local function announce(waiting, channel_prefix, id, payload)
  if redis.call('ZREM', waiting, id) == 1 then
    redis.call('PUBLISH', channel_prefix .. id, payload)
  end
end
