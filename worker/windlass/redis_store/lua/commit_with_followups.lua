-- End one message and enqueue what follows it (link, error callback), in one step.
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
-- KEYS[11..] for each follow-up: ready LIST, scheduled ZSET, stats HASH, wake LIST, idle STRING
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] channel  prefix of the outcome channels
-- ARGV[3] service  us, run time
-- ARGV[4] id       the message
-- ARGV[5] token    its grant
-- ARGV[6] has outcome 0|1
-- ARGV[7] ttl      ms
-- ARGV[8] payload  encoded outcome
-- ARGV[9..] for each follow-up: queue, priority, id, due spec, expires spec, tail
-- Returns: the id in a list when its token was stale (nothing was done), else an empty list.
-- Invariants: leased -> gone and each follow-up gone -> ready | scheduled, together or not at all.
-- Complexity: O(follow-ups).
-- @include clock
-- @include admit
-- @include settle
-- @include outcome
-- @include put
local messages, attempts, leased, leases, grants = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local left, stats, waiting, result, queues = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local now, channel, service = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local id, token, has_outcome, ttl, payload = ARGV[4], ARGV[5], ARGV[6] == '1', ARGV[7], ARGV[8]
local FIRST_KEY, FIRST_ARG = 11, 9
if not owns(leased, id, token) then return {id} end
local bytes = #payload
for a = FIRST_ARG, #ARGV, 6 do bytes = bytes + #ARGV[a + 5] end
admit(leases, bytes)
-- Gone before the rest, so that a follow-up may take over its id (a task that replaces itself).
redis.call('HDEL', messages, id)
redis.call('HDEL', attempts, id)
for f = 0, (#KEYS - FIRST_KEY + 1) / 5 - 1 do
  local k, a = FIRST_KEY + 5 * f, FIRST_ARG + 6 * f
  local priority, due = tonumber(ARGV[a + 1]), absolute(now, ARGV[a + 3])
  local raw = stamp(now, priority, due, absolute(now, ARGV[a + 4]), ARGV[a + 5])
  if redis.call('HSETNX', messages, ARGV[a + 2], raw) == 1 then
    place(now, KEYS[k], KEYS[k + 1], KEYS[k + 3], KEYS[k + 4], ARGV[a + 2], priority, due)
    if redis.call('HINCRBY', KEYS[k + 2], 'enqueued', 1) == 1 then
      redis.call('SADD', queues, ARGV[a])
    end
  end
end
if has_outcome then
  store(result, payload, ttl)
  announce(waiting, channel, id, payload)
end
redis.call('HDEL', leased, id)
settle(leases, grants, left, token, 1)
redis.call('HINCRBY', stats, 'completed', 1)
redis.call('HINCRBY', stats, 'service_us', service)
return {}
