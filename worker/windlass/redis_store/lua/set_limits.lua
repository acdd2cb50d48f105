-- Say what tasks may use: what workers declare, and what was set by hand and goes before it.
-- KEYS[1] limits HASH task -> its limits, JSON: what the other scripts read
-- KEYS[2] given  HASH d<task>: declared, s<task>: set by hand; JSON, null takes a declared limit away
-- ARGV[1..] for each: d or s, task, JSON ('' for none)
-- Returns: how many tasks have other limits now.
-- Invariants: moves no message: the next fetch sees it; what waits is tried again by sweep_limits.lua.
-- Complexity: O(tasks).
local limits, given, changed = KEYS[1], KEYS[2], 0
for i = 1, #ARGV, 3 do
  local kind, task, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if text == '' then redis.call('HDEL', given, kind .. task)
  else redis.call('HSET', given, kind .. task, text) end
  local both, all = redis.call('HMGET', given, 'd' .. task, 's' .. task), {}
  for _, each in ipairs(both) do
    for name, value in pairs(each and cjson.decode(each) or {}) do
      if value == cjson.null then all[name] = nil else all[name] = value end
    end
  end
  local before, now = redis.call('HGET', limits, task), nil
  if next(all) then now = cjson.encode(all) end
  if now and now ~= before then redis.call('HSET', limits, task, now)
  elseif not now and before then redis.call('HDEL', limits, task) end
  if (now or false) ~= before then changed = changed + 1 end
end
return changed
