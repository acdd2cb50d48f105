-- Revoke one message by id: gone at once if it waits, marked if a worker has it or it is not there yet.
-- KEYS[1] messages  HASH   id -> bytes
-- KEYS[2] attempts  HASH   counters
-- KEYS[3] revoked   ZSET   tombstones by the time they expire
-- KEYS[4] leased    HASH   id -> token
-- KEYS[5] scheduled ZSET   priority digit + id
-- KEYS[6] parked    HASH   id -> when, ms, and task name
-- KEYS[7] dead      ZSET   dead letters
-- KEYS[8] condemned SET    revoked ids in the ready lists
-- KEYS[9] waiting   ZSET   ids somebody waits for
-- KEYS[10] result   STRING its outcome
-- KEYS[11] signals  HASH   revoked id -> signal that ends its run
-- KEYS[12] blocked  HASH   id -> gate, place
-- KEYS[13] line     ZSET   gate, place, id
-- KEYS[14..] if it is a part of a continuation, what give.lua says
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] id        the message
-- ARGV[3] queue     that KEYS 4-8, 12 and 13 belong to, '' where the message was not found or is damaged
-- ARGV[4] keep_ms   ms, life of a tombstone
-- ARGV[5] has outcome 0|1
-- ARGV[6] ttl       ms
-- ARGV[7] payload   encoded REVOKED outcome
-- ARGV[8] channel   prefix of the outcome channels
-- ARGV[9] signal    that ends a run, '' to leave a run alone
-- ARGV[10] then     the continuation that it is a part of, '' for none
-- ARGV[11] index    of that part
-- ARGV[12] failure  that the part is
-- ARGV[13] names    of the queues that the continuation sends to
-- Returns: where it was: 'QUEUED', 'SCHEDULED', 'PARKED', 'BLOCKED' (gone now), 'LEASED', 'UNKNOWN'
--          (marked), 'DEAD' or 'DONE' (left alone); 'MOVED' when it is not in that queue: look again.
-- Invariants: scheduled | parked | blocked -> gone; ready -> condemned, as good as gone, its outcome stored and
--             its part a failure.
-- Complexity: O(log n).
-- @include clock
-- @include admit
-- @include tombstones
-- @include withdraw
-- @include outcome
-- @include put
-- @include targets
-- @include continuation
-- @include give
local messages, attempts, revoked, leased, scheduled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local parked, dead, condemned, waiting, result = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local signals, blocked, line = KEYS[11], KEYS[12], KEYS[13]
local now, id, queue, keep_ms = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local has_outcome, ttl, payload, channel = ARGV[5] == '1', ARGV[6], ARGV[7], ARGV[8]
local signal, continuation, index, failure, names = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local FIRST = 14
local raw = redis.call('HGET', messages, id)
admit(waiting, #payload)
forget_marks(revoked, signals, now)
if not raw or queue == '' then
  mark(revoked, signals, id, now + keep_ms, signal)
  return 'UNKNOWN'
end
if string.sub(raw, 22, 21 + string.byte(raw, 21)) ~= queue then return 'MOVED' end
if redis.call('HEXISTS', leased, id) == 1 then
  mark(revoked, signals, id, now + keep_ms, signal)
  return 'LEASED'
end
if redis.call('ZSCORE', dead, id) then return 'DEAD' end
if redis.call('SISMEMBER', condemned, id) == 1 then return 'DONE' end
local was = withdraw(messages, attempts, scheduled, parked, condemned, blocked, line, id, raw)
if has_outcome then
  store(result, payload, ttl)
  announce(waiting, channel, id, payload)
end
give(now, messages, FIRST, continuation, index, failure, names)
return was
