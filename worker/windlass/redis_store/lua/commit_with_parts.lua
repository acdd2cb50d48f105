-- End messages of one queue that are parts of continuations; release what waited for the last of them.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] stats    HASH   counters
-- KEYS[8] waiting  ZSET   ids somebody waits for
-- KEYS[9] queues   SET    queue names
-- KEYS[10] thens   ZSET   continuations
-- KEYS[11..] the keys of each queue sent to (targets); a record HASH for each continuation; a result
--          STRING for each message that has an outcome to store, in order
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] channel  prefix of the outcome channels
-- ARGV[3] service  us, sum of run times
-- ARGV[4] names    of the queues sent to, commas between
-- ARGV[5] n        messages
-- ARGV[6] c        continuations; then for each: id;
--                  then for each message: id, token, has outcome 0|1, which continuation (from 1),
--                  index, failure, value; then for each outcome: ttl ms, payload
-- Returns: {the ids whose token was stale, or that are twice in it; nothing was done for them,
--          the continuations that are not sent to the end: call deliver.lua}.
-- Invariants: leased -> gone, outcome stored, part noted and what waited for it gone -> ready |
--             scheduled in the same step; a part counts once.
-- Complexity: O(n + messages released, 1000 for each continuation).
-- @include clock
-- @include admit
-- @include settle
-- @include outcome
-- @include put
-- @include targets
-- @include continuation
local messages, attempts, leased, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local grants, left, stats, waiting = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local queues, thens = KEYS[9], KEYS[10]
local now, channel, service = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local names, n, c = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local at, first_record = targets(11, names)
local first, first_outcome = 7 + c, 7 + c + 7 * n
local ids, stale, ended, settled, largest = {}, {}, {}, {}, 0
for i = 1, n do
  ids[i] = ARGV[first + 7 * (i - 1)]
  largest = math.max(largest, #ARGV[first + 7 * i - 1])
end
for a = first_outcome + 1, #ARGV, 2 do largest = math.max(largest, #ARGV[a]) end
admit(leases, largest)
local owners = redis.call('HMGET', leased, unpack(ids))
local awaited = redis.call('ZCARD', waiting) > 0
local outcomes, counts, due = 0, {}, {}
for i = 1, n do
  local a = first + 7 * (i - 1)
  local id, token, has_outcome, which = ids[i], ARGV[a + 1], ARGV[a + 2] == '1', tonumber(ARGV[a + 3])
  if has_outcome then outcomes = outcomes + 1 end
  if owners[i] ~= token or settled[id] then
    stale[#stale + 1] = id
  else
    ended[#ended + 1], settled[id] = id, true
    counts[token] = (counts[token] or 0) + 1
    if has_outcome then
      local o = first_outcome + 2 * (outcomes - 1)
      store(KEYS[first_record + c + outcomes - 1], ARGV[o + 1], ARGV[o])
      if awaited then announce(waiting, channel, id, ARGV[o + 1]) end
    end
    local record = KEYS[first_record + which - 1]
    if take_part(record, ARGV[a + 4], ARGV[a + 6], ARGV[a + 5]) then due[#due + 1] = which end
  end
end
if #ended == 0 then return {stale, {}} end
redis.call('HDEL', leased, unpack(ended))
redis.call('HDEL', messages, unpack(ended))
if redis.call('HLEN', attempts) > 0 then redis.call('HDEL', attempts, unpack(ended)) end
for token, count in pairs(counts) do settle(leases, grants, left, token, count) end
redis.call('HINCRBY', stats, 'completed', #ended)
if service > 0 then redis.call('HINCRBY', stats, 'service_us', service) end
local unfinished = {}
for _, which in ipairs(due) do
  local id = ARGV[6 + which]
  local why = release(now, messages, queues, thens, KEYS[first_record + which - 1], id, at)
  if why ~= '' then unfinished[#unfinished + 1] = id end
end
return {stale, unfinished}
