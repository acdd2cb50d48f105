-- A value of attempts: "deliveries:handbacks", ":generation:flags" where one of those is not 0, then a
-- line of JSON for each attempt that is remembered (windlass/attempts.py). Flags: 1 the process died
-- under it and others, which is not counted yet; 2 it died under it alone; 4 see again.lua.

-- counters(attempts, id): {deliveries, handbacks, generation, flags} and the lines.
local function counters(attempts, id)
  local old = redis.call('HGET', attempts, id)
  if not old then return {0, 0, 0, 0}, '' end
  local d, h, g, s, lines = string.match(old, '^(%d+):(%d+):?(%d*):?(%d*)(.*)$')
  return {tonumber(d), tonumber(h), tonumber(g) or 0, tonumber(s) or 0}, lines
end

-- count(attempts, id, c, lines): keep counters and lines; nothing is kept of a plain message.
local function count(attempts, id, c, lines)
  local value = string.format('%d:%d', c[1], c[2])
  if c[3] > 0 or c[4] > 0 then value = string.format('%s:%d:%d', value, c[3], c[4]) end
  if value == '0:0' and lines == '' then return redis.call('HDEL', attempts, id) end
  redis.call('HSET', attempts, id, value .. lines)
end

-- remembered(lines, now, attempt): the lines with one more, an object of JSON ('' for none); the last
-- 20 and 32 KB of them.
local function remembered(lines, now, attempt)
  if attempt == '' then return lines end
  lines = lines .. string.format('\n{"ended_ms":%d,', now) .. string.sub(attempt, 2)
  local n, at = 0, 1
  repeat n, at = n + 1, string.find(lines, '\n', at + 1, true) until not at
  while n > 20 or #lines > 32768 do
    lines, n = string.sub(lines, string.find(lines, '\n', 2, true) or #lines + 1), n - 1
  end
  return lines
end

-- ready_list(keys_at, messages, id): index in KEYS of the ready list for the id's priority, given
-- that KEYS[keys_at] is r9 and KEYS[keys_at + 9] is r0; nil when the message is gone.
local function ready_list(keys_at, messages, id)
  local raw = redis.call('HGET', messages, id)
  if not raw then return nil end
  local priority = (string.byte(raw, 2) or 48) - 48
  if priority < 0 or priority > 9 then priority = 0 end
  return keys_at + 9 - priority
end
