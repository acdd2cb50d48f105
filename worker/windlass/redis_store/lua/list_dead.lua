-- Read a page of the dead letters of a queue, without the bodies of their messages.
-- KEYS[1] messages HASH id -> bytes
-- KEYS[2] dead     ZSET dead letters
-- KEYS[3] obits    HASH why they died
-- ARGV[1] since    ms, or '-inf'
-- ARGV[2] until    ms, or '+inf'
-- ARGV[3] offset   dead letters to pass over
-- ARGV[4] limit    dead letters, 500 at most
-- ARGV[5] newest   1: the newest first
-- Returns: {id, why it died (JSON), bytes up to the body, ..}.
-- Invariants: reads only.
-- Complexity: O(log dead + offset + limit).
-- @include head
local messages, dead, obits = KEYS[1], KEYS[2], KEYS[3]
local since, until_, offset, limit, newest = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local ids, found
if newest then ids = redis.call('ZREVRANGEBYSCORE', dead, until_, since, 'LIMIT', offset, limit)
else ids = redis.call('ZRANGEBYSCORE', dead, since, until_, 'LIMIT', offset, limit) end
found = {}
for i, id in ipairs(ids) do
  local raw = redis.call('HGET', messages, id) or ''
  found[3 * i - 2] = id
  found[3 * i - 1] = redis.call('HGET', obits, id) or '{}'
  found[3 * i] = head_of(raw) or string.sub(raw, 1, 4096)
end
return found
