-- A run died: count a delivery and hand the message back, or bury it at the cap.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] wake     LIST   wake tokens
-- KEYS[8] idle     STRING exists while a worker waits
-- KEYS[9] record   HASH   queue record
-- KEYS[10] dead    ZSET   dead letters
-- KEYS[11] obits   HASH   why they died
-- KEYS[12] waiting ZSET   ids somebody waits for
-- KEYS[13] result  STRING its outcome
-- KEYS[14..23] r9 .. r0 LIST ids
-- KEYS[24..] if it is a part of a continuation, what give.lua says
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] id       the message
-- ARGV[3] token    its grant
-- ARGV[4] cap      deliveries, where the record names none
-- ARGV[5] reason   what happened to the process
-- ARGV[6] worker   who saw it
-- ARGV[7] has outcome 0|1
-- ARGV[8] ttl      ms
-- ARGV[9] payload  encoded outcome for a dead letter
-- ARGV[10] channel prefix of the outcome channels
-- ARGV[11] then    the continuation that it is a part of, '' for none
-- ARGV[12] index   of that part
-- ARGV[13] failure that the part is, of a dead letter
-- ARGV[14] names   of the queues that the continuation sends to
-- ARGV[15] attempt JSON of the attempt, to be remembered
-- ARGV[16] shared  1: others ran in the same process
-- Returns: 'STALE' (nothing was done), 'READY' or 'DEAD'.
-- Invariants: leased -> ready at the front with deliveries + 1; at the cap leased -> dead, and its
--             part is a failure. A crash that it shared counts with the next one, which it has alone;
--             a cap that has no room for that next one counts it at once.
-- Complexity: O(1).
-- @include clock
-- @include admit
-- @include settle
-- @include attempts
-- @include outcome
-- @include put
-- @include bury
-- @include targets
-- @include continuation
-- @include give
local messages, attempts, leased, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local grants, left, wake_list, idle, record = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local dead, obits, waiting, result, FIRST_READY = KEYS[10], KEYS[11], KEYS[12], KEYS[13], 14
local now, id, token, cap = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local reason, worker, has_outcome = ARGV[5], ARGV[6], ARGV[7] == '1'
local ttl, payload, channel = ARGV[8], ARGV[9], ARGV[10]
local continuation, index, failure, names, FIRST = ARGV[11], ARGV[12], ARGV[13], ARGV[14], 24
local attempt, shared = ARGV[15], ARGV[16] == '1'
if not owns(leased, id, token) then return 'STALE' end
admit(leases, 0)
cap = tonumber(redis.call('HGET', record, 'max_deliveries') or cap)
local c, lines = counters(attempts, id)
local suspect = c[4] % 4
local deliveries = c[1] + (suspect == 1 and 2 or 1)
if shared and suspect == 0 and deliveries < cap then
  c[4] = c[4] + 1
else
  c[1], c[4] = deliveries, c[4] - suspect + 2
end
count(attempts, id, c, remembered(lines, now, attempt))
redis.call('HDEL', leased, id)
settle(leases, grants, left, token, 1)
local at = ready_list(FIRST_READY, messages, id)
if at and c[1] < cap then
  redis.call('LPUSH', KEYS[at], id)
  wake(idle, wake_list, 1)
  return 'READY'
end
bury(dead, obits, c, id, now, 'max_deliveries', reason, worker)
if has_outcome then
  store(result, payload, ttl)
  announce(waiting, channel, id, payload)
end
give(now, messages, FIRST, continuation, index, failure, names)
return 'DEAD'
