-- Move a leased message to the dead letters, untouched, with its reason and outcome.
-- KEYS[1] attempts HASH   counters
-- KEYS[2] leased   HASH   id -> token
-- KEYS[3] leases   ZSET   token by deadline
-- KEYS[4] grants   HASH   token -> ids
-- KEYS[5] left     HASH   token -> unsettled
-- KEYS[6] dead     ZSET   dead letters
-- KEYS[7] obits    HASH   why they died
-- KEYS[8] waiting  ZSET   ids somebody waits for
-- KEYS[9] result   STRING its outcome
-- KEYS[10] messages HASH  id -> bytes
-- KEYS[11..] if it is a part of a continuation, what give.lua says
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] id       the message
-- ARGV[3] token    its grant
-- ARGV[4] reason   a Reason
-- ARGV[5] detail   in words
-- ARGV[6] worker   who buried it
-- ARGV[7] has outcome 0|1
-- ARGV[8] ttl      ms
-- ARGV[9] payload  encoded outcome
-- ARGV[10] channel prefix of the outcome channels
-- ARGV[11] crashed 1: the lease ran out: count this delivery as a crash, unless it was renewed since
-- ARGV[12] then    the continuation that it is a part of, '' for none
-- ARGV[13] index   of that part
-- ARGV[14] failure that the part is
-- ARGV[15] names   of the queues that the continuation sends to
-- ARGV[16] attempt JSON of the attempt, to be remembered
-- Returns: the id in a list when its token was stale (nothing was done), else an empty list.
-- Invariants: leased -> dead, and its part is a failure, in one step.
-- Complexity: O(log dead).
-- @include clock
-- @include admit
-- @include settle
-- @include attempts
-- @include outcome
-- @include bury
-- @include put
-- @include targets
-- @include continuation
-- @include give
local attempts, leased, leases, grants, left = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local dead, obits, waiting, result, messages = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local continuation, index, failure, names, FIRST = ARGV[12], ARGV[13], ARGV[14], ARGV[15], 11
local now, id, token, reason, detail = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local worker, has_outcome, ttl, payload = ARGV[6], ARGV[7] == '1', ARGV[8], ARGV[9]
local channel, crashed = ARGV[10], ARGV[11] == '1'
if not owns(leased, id, token) then return {id} end
if crashed and tonumber(redis.call('ZSCORE', leases, token) or 0) > now then return {id} end
admit(leases, #payload + #ARGV[16])
local c, lines = counters(attempts, id)
if crashed then c[1] = c[1] + 1 end
count(attempts, id, c, remembered(lines, now, ARGV[16]))
redis.call('HDEL', leased, id)
settle(leases, grants, left, token, 1)
bury(dead, obits, c, id, now, reason, detail, worker)
if has_outcome then
  store(result, payload, ttl)
  announce(waiting, channel, id, payload)
end
give(now, messages, FIRST, continuation, index, failure, names)
return {}
