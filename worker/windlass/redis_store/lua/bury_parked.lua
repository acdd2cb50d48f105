-- Move one parked message to the dead letters, untouched, with its reason and outcome.
-- KEYS[1] attempts HASH   counters and attempts
-- KEYS[2] parked   HASH   id -> when, ms, and task name
-- KEYS[3] dead     ZSET   dead letters
-- KEYS[4] obits    HASH   why they died
-- KEYS[5] waiting  ZSET   ids somebody waits for
-- KEYS[6] result   STRING its outcome
-- KEYS[7] messages HASH   id -> bytes
-- KEYS[8..] if it is a part of a continuation, what give.lua says
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] id       the message
-- ARGV[3] value    of it in parked, as it was seen
-- ARGV[4] reason   a Reason
-- ARGV[5] detail   in words
-- ARGV[6] worker   who buries it
-- ARGV[7] attempt  JSON of the attempt, to be remembered
-- ARGV[8] has outcome 0|1
-- ARGV[9] ttl      ms
-- ARGV[10] payload encoded outcome
-- ARGV[11] channel prefix of the outcome channels
-- ARGV[12] then    the continuation that it is a part of, '' for none
-- ARGV[13] index   of that part
-- ARGV[14] failure that the part is
-- ARGV[15] names   of the queues that the continuation sends to
-- Returns: 1, or 0 when it is not parked as it was seen (nothing was done).
-- Invariants: parked -> dead, and its part is a failure, in one step.
-- Complexity: O(log dead).
-- @include clock
-- @include admit
-- @include attempts
-- @include outcome
-- @include bury
-- @include put
-- @include targets
-- @include continuation
-- @include give
local attempts, parked, dead, obits, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local result, messages, FIRST = KEYS[6], KEYS[7], 8
local now, id, value, reason, detail = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local worker, attempt, has_outcome, ttl, payload = ARGV[6], ARGV[7], ARGV[8] == '1', ARGV[9], ARGV[10]
local channel, continuation, index, failure, names = ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15]
if redis.call('HGET', parked, id) ~= value then return 0 end
admit(dead, #payload + #attempt)
redis.call('HDEL', parked, id)
local c, lines = counters(attempts, id)
count(attempts, id, c, remembered(lines, now, attempt))
bury(dead, obits, c, id, now, reason, detail, worker)
if has_outcome then
  store(result, payload, ttl)
  announce(waiting, channel, id, payload)
end
give(now, messages, FIRST, continuation, index, failure, names)
return 1
