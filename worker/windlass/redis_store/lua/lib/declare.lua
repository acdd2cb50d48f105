-- declare_all(now, thens, key, first, last): store the continuations that ARGV[first..last] describe,
-- each as id, how many fields, and the fields' names and values; its record is the next of KEYS[key..].
-- Fields that are there already stay as they are.
local function declare_all(now, thens, key, first, last)
  while first <= last do
    local id, from, to = ARGV[first], first + 2, first + 1 + 2 * tonumber(ARGV[first + 1])
    if redis.call('EXISTS', KEYS[key]) == 0 then
      redis.call('HSET', KEYS[key], unpack(ARGV, from, to))
    else
      for f = from, to, 2 do redis.call('HSETNX', KEYS[key], ARGV[f], ARGV[f + 1]) end
    end
    redis.call('ZADD', thens, 'NX', now, id)
    first, key = to + 1, key + 1
  end
end
