-- Make one dead letter ready again with other bytes: with what somebody changed in it.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters and attempts
-- KEYS[3] dead     ZSET   dead letters of the queue where it is one
-- KEYS[4] obits    HASH   why they died
-- KEYS[5] revoked  ZSET   tombstones
-- KEYS[6] signals  HASH   revoked id -> signal
-- KEYS[7] result   STRING its outcome
-- KEYS[8] queues   SET    queue names
-- KEYS[9] ready    LIST   of the queue and priority where it goes
-- KEYS[10] scheduled ZSET of that queue
-- KEYS[11] wake    LIST   of that queue
-- KEYS[12] idle    STRING of that queue
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] id       the message
-- ARGV[3] sha1     of the bytes that were changed, hex
-- ARGV[4] digest   of them, to be remembered
-- ARGV[5] queue    where it goes
-- ARGV[6] priority 0-9
-- ARGV[7] tail     bytes
-- Returns: 1, 0 when it is no dead letter (any more), 2 when its bytes are others than those that were
--          changed; nothing was done then.
-- Invariants: dead -> ready at the end, with the generation that comes next.
-- Complexity: O(log dead).
-- @include clock
-- @include attempts
-- @include again
-- @include put
local messages, attempts, dead, obits, revoked, signals = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local result, queues, ready, scheduled, wake_list, idle = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local now, id, sha1, digest = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local queue, priority, tail = ARGV[5], tonumber(ARGV[6]), ARGV[7]
if not redis.call('ZSCORE', dead, id) then return 0 end
if redis.sha1hex(redis.call('HGET', messages, id) or '') ~= sha1 then return 2 end
redis.call('ZREM', dead, id)
redis.call('HSET', messages, id, stamp(now, priority, 0, 0, tail))
revive(obits, attempts, revoked, signals, result, id, now, digest)
place(now, ready, scheduled, wake_list, idle, id, priority, 0)
redis.call('SADD', queues, queue)
return 1
