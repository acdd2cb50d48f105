-- Delete dead letters: those named, or those that died before a time.
-- KEYS[1] messages HASH id -> bytes
-- KEYS[2] attempts HASH counters
-- KEYS[3] dead     ZSET dead letters
-- KEYS[4] obits    HASH why they died
-- ARGV[1] before   ms; '' to delete the ids named, '+inf' for all
-- ARGV[2] limit    messages a call
-- ARGV[3..] ids
-- Returns: how many were deleted.
-- Invariants: dead -> gone.
-- Complexity: O(limit * log dead).
local messages, attempts, dead, obits = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local before, limit, FIRST_ID = ARGV[1], tonumber(ARGV[2]), 3
local ids, deleted = {}, 0
if before ~= '' then
  ids = redis.call('ZRANGEBYSCORE', dead, '-inf', before, 'LIMIT', 0, limit)
else
  for i = FIRST_ID, #ARGV do ids[#ids + 1] = ARGV[i] end
end
for _, id in ipairs(ids) do
  if redis.call('ZREM', dead, id) == 1 then
    redis.call('HDEL', obits, id)
    redis.call('HDEL', messages, id)
    redis.call('HDEL', attempts, id)
    deleted = deleted + 1
  end
end
return deleted
