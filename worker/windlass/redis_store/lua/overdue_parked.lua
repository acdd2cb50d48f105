-- Look through parked messages for those that were parked before a time; a page at a time.
-- KEYS[1] parked HASH id -> when, ms, and task name
-- KEYS[2] record HASH queue record
-- ARGV[1] now_ms ms, '' for the server's clock
-- ARGV[2] cursor of HSCAN, '0' at first
-- Returns: {next cursor, {id, its value, ..}}; nothing where the record has no park_limit_s.
-- Invariants: reads only.
-- Complexity: O(500).
-- @include clock
local parked, record = KEYS[1], KEYS[2]
local now, cursor, found = clock(ARGV[1]), ARGV[2], {}
local limit_s = tonumber(redis.call('HGET', record, 'park_limit_s') or '0')
if limit_s == 0 then return {'0', found} end
local page = redis.call('HSCAN', parked, cursor, 'COUNT', 500)
for i = 1, #page[2], 2 do
  local since = string.match(page[2][i + 1], '^(%d+):')
  if since and tonumber(since) + limit_s * 1000 <= now then
    found[#found + 1], found[#found + 2] = page[2][i], page[2][i + 1]
  end
end
return {page[1], found}
