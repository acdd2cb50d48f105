-- admit(zset, bytes): let a full broker do what follows if that needs little memory, else ask it.
-- Redis refuses memory only before a script's first write: PERSIST is a write that needs none, ZADD
-- XX of nobody one that may need some; neither changes anything.
local function admit(zset, bytes)
  if bytes <= 4096 then redis.call('PERSIST', zset) else redis.call('ZADD', zset, 'XX', 0, '') end
end
