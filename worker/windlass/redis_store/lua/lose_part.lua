-- Count a part as a failure whose message is gone, after a last look whether it is.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] queues   SET    queue names
-- KEYS[3] thens    ZSET   continuations
-- KEYS[4] record   HASH   the continuation
-- KEYS[5] source   HASH   the continuation that will send the message, or `record` for none
-- KEYS[6] other    HASH   the continuation that answers for the part, or `record` for none
-- KEYS[7] seen     ZSET   workers by the time their heartbeat expires
-- KEYS[8] dead     ZSET   dead letters of a queue in which the message was seen
-- KEYS[9..] the keys of each queue sent to (targets)
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] id       of the continuation
-- ARGV[3] index    of the part
-- ARGV[4] message  id
-- ARGV[5] holder   who answered for the part when it was looked at
-- ARGV[6] failure  that the part is
-- ARGV[7] names    of the queues sent to, commas between
-- Returns: 0 when it is not lost, 1 when it is and all was sent, 2 when more is to be sent (deliver.lua).
-- Invariants: a part counts once; one that may still come is left alone.
-- Complexity: O(messages released, 1000 at most).
-- @include clock
-- @include admit
-- @include put
-- @include targets
-- @include continuation
local messages, queues, thens, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local source, other, seen, dead = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local now, id, index, message_id = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local holder, failure, names = ARGV[5], ARGV[6], ARGV[7]
if redis.call('HEXISTS', messages, message_id) == 1 and not redis.call('ZSCORE', dead, message_id) then
  return 0
end
if source ~= record and redis.call('EXISTS', source) == 1 then return 0 end
if other ~= record and redis.call('EXISTS', other) == 1 then return 0 end
if (redis.call('HGET', record, 'h' .. index) or '') ~= holder then return 0 end
if string.sub(holder, 1, 1) == 'w' then
  local until_ms = redis.call('ZSCORE', seen, string.sub(holder, 2))
  if until_ms and tonumber(until_ms) > now then return 0 end
end
admit(thens, 0)
if not take_part(record, index, '', failure) then return 0 end
return release(now, messages, queues, thens, record, id, (targets(9, names))) == '' and 1 or 2
