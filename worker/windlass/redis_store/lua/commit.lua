-- End messages of one queue: acknowledge, store outcomes, drop the bytes.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] stats    HASH   counters
-- KEYS[8] waiting  ZSET   ids somebody waits for
-- KEYS[9..] result STRING one key for each message that has an outcome to store, in order
-- ARGV[1] channel  prefix of the outcome channels
-- ARGV[2] service  us, sum of run times
-- ARGV[3] n        messages; then for each: id, token, has outcome 0|1;
--                  then for each outcome: ttl ms, payload
-- Returns: the ids whose token was stale, or that are twice in it; nothing was done for them.
-- Invariants: leased -> gone, with its outcome stored in the same step.
-- Complexity: O(n).
-- @include admit
-- @include settle
-- @include outcome
local messages, attempts, leased, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local grants, left, stats, waiting = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local channel, service, n = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local FIRST_RESULT = 8
local ids, stale, ended, settled, largest = {}, {}, {}, {}, 0
for i = 1, n do ids[i] = ARGV[1 + 3 * i] end
for at = 5 + 3 * n, #ARGV, 2 do largest = math.max(largest, #ARGV[at]) end
admit(leases, largest)
local owners = redis.call('HMGET', leased, unpack(ids))
local awaited = redis.call('ZCARD', waiting) > 0
local outcomes, counts = 0, {}
for i = 1, n do
  local id, token, has_outcome = ids[i], ARGV[2 + 3 * i], ARGV[3 + 3 * i] == '1'
  if has_outcome then outcomes = outcomes + 1 end
  if owners[i] ~= token or settled[id] then
    stale[#stale + 1] = id
  else
    ended[#ended + 1], settled[id] = id, true
    counts[token] = (counts[token] or 0) + 1
    if has_outcome then
      local at = 2 + 3 * n + 2 * outcomes
      store(KEYS[FIRST_RESULT + outcomes], ARGV[at + 1], ARGV[at])
      if awaited then announce(waiting, channel, id, ARGV[at + 1]) end
    end
  end
end
if #ended == 0 then return stale end
redis.call('HDEL', leased, unpack(ended))
redis.call('HDEL', messages, unpack(ended))
if redis.call('HLEN', attempts) > 0 then redis.call('HDEL', attempts, unpack(ended)) end
for token, count in pairs(counts) do settle(leases, grants, left, token, count) end
redis.call('HINCRBY', stats, 'completed', #ended)
if service > 0 then redis.call('HINCRBY', stats, 'service_us', service) end
return stale
