-- clock(given): ms since the epoch; the server's own clock unless a test names a time. The clock is cut
-- to whole milliseconds; `cut` is then 1, and a delay counted from it gets one more: late, never early.
local cut = 0
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local t = redis.call('TIME')
  if t[2] % 1000 > 0 then cut = 1 end
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
