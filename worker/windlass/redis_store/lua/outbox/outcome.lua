-- Takes the place of lib/outcome.lua where results are kept elsewhere; its callers get two keys more,
-- at the end: KEYS[#KEYS - 1] outbox ZSET id by generation, KEYS[#KEYS] generation STRING the last.
-- store(key, payload, ttl_ms): keep an encoded outcome, and note that it is to be copied. Generations
-- only grow, by the clock, and by one where that stands still or was set back.
local function store(key, payload, ttl)
  local outbox, generation = KEYS[#KEYS - 1], KEYS[#KEYS]
  if tonumber(ttl) > 0 then redis.call('SET', key, payload, 'PX', ttl)
  else redis.call('SET', key, payload) end
  local t = redis.call('TIME')
  local next = math.max(tonumber(redis.call('GET', generation) or '0') + 1, t[1] * 1000000 + t[2])
  next = string.format('%.0f', next)
  redis.call('SET', generation, next)
  redis.call('ZADD', outbox, next, string.match(key, '}:r:(.*)$'))
end

-- announce(waiting, channel_prefix, id, payload): publish, only if somebody waits for it.
local function announce(waiting, channel_prefix, id, payload)
  if redis.call('ZREM', waiting, id) == 1 then
    redis.call('PUBLISH', channel_prefix .. id, payload)
  end
end
