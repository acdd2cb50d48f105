-- End one message, and in one step do all that its end brings with it: enqueue what follows it (link,
-- error callback), declare what it was replaced by, give its part to the continuation that waits. With
-- a reason its message becomes a dead letter, untouched, instead of being dropped.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] stats    HASH   counters
-- KEYS[8] waiting  ZSET   ids somebody waits for
-- KEYS[9] result   STRING its outcome
-- KEYS[10] queues  SET    queue names
-- KEYS[11] thens   ZSET   continuations
-- KEYS[12] dead    ZSET   dead letters
-- KEYS[13] obits   HASH   why they died
-- KEYS[14..] the keys of each queue sent to (targets); the record HASH of the continuation that it is
--          a part of, if it is; a record HASH for each that is declared
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] channel  prefix of the outcome channels
-- ARGV[3] service  us, run time
-- ARGV[4] id       the message
-- ARGV[5] token    its grant
-- ARGV[6] has outcome 0|1
-- ARGV[7] ttl      ms
-- ARGV[8] payload  encoded outcome
-- ARGV[9] names    of the queues sent to, commas between
-- ARGV[10] then    the continuation that it is a part of, '' for none
-- ARGV[11] index   of that part
-- ARGV[12] failure of that part, '' for none
-- ARGV[13] value   of that part
-- ARGV[14] holder  '' to give the part, else who answers for it from now on (see continuation.lua)
-- ARGV[15] added   members to that continuation, '' for none (see grow of continuation.lua)
-- ARGV[16] reason  a Reason to make a dead letter for, '' to drop the message
-- ARGV[17] detail  in words
-- ARGV[18] worker  who settles
-- ARGV[19] attempt JSON of the attempt, to be remembered with a dead letter
-- ARGV[20] n       follow-ups; then for each: queue, priority, id, due spec, expires spec, tail;
--                  then for each declared continuation: id, how many fields, and their names and values
-- Returns: {the id in a list when its token was stale (nothing was done), else an empty list;
--          the continuation in a list when it is not sent to the end: call deliver.lua}.
-- Invariants: leased -> gone | dead and each follow-up gone -> ready | scheduled, together or not at all.
-- Complexity: O(follow-ups + messages released, 1000 at most).
-- @include clock
-- @include admit
-- @include settle
-- @include attempts
-- @include bury
-- @include outcome
-- @include put
-- @include targets
-- @include declare
-- @include continuation
local messages, attempts, leased, leases, grants = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local left, stats, waiting, result, queues, thens = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local now, channel, service = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local id, token, has_outcome, ttl, payload = ARGV[4], ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]
local names, continuation, index, failure, value = ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13]
local holder, added, reason, n, FIRST = ARGV[14], ARGV[15], ARGV[16], tonumber(ARGV[20]), 21
if not owns(leased, id, token) then return {{id}, {}} end
local at, record = targets(14, names)
local bytes = #payload + #value
for a = FIRST, #ARGV do bytes = bytes + #ARGV[a] end
admit(leases, bytes)
-- Gone before the rest, so that a follow-up may take over its id (a task that replaces itself).
if reason == '' then
  redis.call('HDEL', messages, id)
  redis.call('HDEL', attempts, id)
else
  local c, lines = counters(attempts, id)
  count(attempts, id, c, remembered(lines, now, ARGV[19]))
  bury(KEYS[12], KEYS[13], c, id, now, reason, ARGV[17], ARGV[18])
end
declare_all(now, thens, record + (continuation == '' and 0 or 1), FIRST + 6 * n, #ARGV)
for a = FIRST, FIRST + 6 * (n - 1), 6 do
  local queue, priority, due = ARGV[a], tonumber(ARGV[a + 1]), absolute(now, ARGV[a + 3])
  local raw = stamp(now, priority, due, absolute(now, ARGV[a + 4]), ARGV[a + 5])
  send(now, messages, queues, at[queue], queue, priority, ARGV[a + 2], due, raw)
end
if has_outcome then
  store(result, payload, ttl)
  announce(waiting, channel, id, payload)
end
redis.call('HDEL', leased, id)
settle(leases, grants, left, token, 1)
redis.call('HINCRBY', stats, 'completed', 1)
redis.call('HINCRBY', stats, 'service_us', service)
if continuation == '' then return {{}, {}} end
if holder ~= '' then
  if redis.call('HEXISTS', KEYS[record], 'need') == 1 then
    redis.call('HSET', KEYS[record], 'h' .. index, holder)
  end
  return {{}, {}}
end
if added ~= '' then grow(KEYS[record], index, added) end
if not take_part(KEYS[record], index, value, failure) then return {{}, {}} end
local why = release(now, messages, queues, thens, KEYS[record], continuation, at)
return {{}, why == '' and {} or {continuation}}
