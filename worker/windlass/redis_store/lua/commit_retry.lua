-- Replace a message by its next try (same id), schedule it, and store the RETRY outcome, in one step.
-- KEYS[1] messages  HASH   id -> bytes
-- KEYS[2] leased    HASH   id -> token
-- KEYS[3] leases    ZSET   token by deadline
-- KEYS[4] grants    HASH   token -> ids
-- KEYS[5] left      HASH   token -> unsettled
-- KEYS[6] result    STRING its outcome
-- KEYS[7] ready     LIST   of the queue and priority of the next try
-- KEYS[8] scheduled ZSET   of that queue
-- KEYS[9] wake      LIST   of that queue
-- KEYS[10] idle     STRING of that queue
-- KEYS[11] queues   SET    queue names
-- KEYS[12] attempts HASH   counters: a new try starts from zero
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] id        the message
-- ARGV[3] token     its grant
-- ARGV[4] queue     of the next try
-- ARGV[5] priority  0-9
-- ARGV[6] due       spec
-- ARGV[7] expires   spec
-- ARGV[8] tail      bytes
-- ARGV[9] has outcome 0|1
-- ARGV[10] ttl      ms
-- ARGV[11] payload  encoded outcome
-- ARGV[12] attempt  JSON of the try that ended, to be remembered
-- ARGV[13] deferred 1: the same try, later: its counters stay
-- Returns: the id in a list when its token was stale (nothing was done), else an empty list.
-- Invariants: leased -> ready | scheduled, never both, never neither.
-- Complexity: O(log scheduled).
-- @include clock
-- @include admit
-- @include settle
-- @include attempts
-- @include outcome
-- @include put
local messages, leased, leases, grants, left = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local result, ready, scheduled, wake_list, idle = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local queues, attempts = KEYS[11], KEYS[12]
local now, id, token, queue, priority = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local due_spec, expires, tail = ARGV[6], ARGV[7], ARGV[8]
local has_outcome, ttl, payload = ARGV[9] == '1', ARGV[10], ARGV[11]
local attempt, deferred = ARGV[12], ARGV[13] == '1'
if not owns(leased, id, token) then return {id} end
admit(leases, #payload + #attempt + #tail - redis.call('HSTRLEN', messages, id))
local due = absolute(now, due_spec)
redis.call('HSET', messages, id, stamp(now, priority, due, absolute(now, expires), tail))
redis.call('HDEL', leased, id)
if not deferred then
  local c, lines = counters(attempts, id)
  count(attempts, id, {0, 0, c[3], 0}, remembered(lines, now, attempt))
end
settle(leases, grants, left, token, 1)
place(now, ready, scheduled, wake_list, idle, id, priority, due)
redis.call('SADD', queues, queue)
if has_outcome then store(result, payload, ttl) end
return {}
