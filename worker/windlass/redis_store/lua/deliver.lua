-- Give parts to one continuation outside of a commit, and send what it has to send.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] queues   SET    queue names
-- KEYS[3] thens    ZSET   continuations
-- KEYS[4] record   HASH   the continuation
-- KEYS[5..] the keys of each queue sent to (targets)
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] id       of the continuation
-- ARGV[3] failure  that ends the wait whatever is there already, '' for none
-- ARGV[4] names    of the queues sent to, commas between; then for each part: index, failure, value
-- Returns: '' when it waits or is gone, 'MORE' when a part is left to be sent, 'QUEUES' when the keys
--          of a queue were not given, 'LARGE' when a message would be too large.
-- Invariants: a part counts once; messages gone -> ready | scheduled, once.
-- Complexity: O(parts + messages released, 1000 at most).
-- @include clock
-- @include put
-- @include targets
-- @include continuation
local messages, queues, thens, record = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, id, failure, names, FIRST = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], 5
if failure ~= '' and redis.call('HEXISTS', record, 'need') == 1 then
  redis.call('HSETNX', record, 'fail', failure)
end
for a = FIRST, #ARGV, 3 do take_part(record, ARGV[a], ARGV[a + 2], ARGV[a + 1]) end
return release(now, messages, queues, thens, record, id, (targets(5, names)))
