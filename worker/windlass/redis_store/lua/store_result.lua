-- Store an outcome outside a commit, and wake who waits for it.
-- KEYS[1] waiting ZSET   ids somebody waits for
-- KEYS[2] result  STRING its outcome
-- ARGV[1] id      the message
-- ARGV[2] ttl     ms, 0 for ever
-- ARGV[3] payload encoded outcome
-- ARGV[4] final   1 if it ends a wait
-- ARGV[5] channel prefix of the outcome channels
-- Returns: 1.
-- Invariants: moves no message.
-- Complexity: O(1).
-- @include outcome
local waiting, result = KEYS[1], KEYS[2]
local id, ttl, payload, final, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]
store(result, payload, ttl)
if final then announce(waiting, channel, id, payload) end
return 1
