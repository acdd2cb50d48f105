-- End a message that a continuation waits for alone, release the one message of it, and lease that to the
-- same worker: a step of a chain in one call. It does all of that or nothing: what is not the plain case
-- is for commit_with_parts.lua and fetch.lua.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] leased   HASH   id -> token
-- KEYS[4] leases   ZSET   token by deadline
-- KEYS[5] grants   HASH   token -> ids
-- KEYS[6] left     HASH   token -> unsettled
-- KEYS[7] stats    HASH   counters
-- KEYS[8] record   HASH   of the queue
-- KEYS[9] waiting  ZSET   ids somebody waits for
-- KEYS[10] result  STRING its outcome
-- KEYS[11] queues  SET    queue names
-- KEYS[12] thens   ZSET   continuations
-- KEYS[13] then    HASH   the record of the continuation
-- KEYS[14] cordon  ZSET   worker by the time its cordon ends, ms
-- KEYS[15] revoked ZSET   tombstones
-- KEYS[16] generation STRING of the revoked stamps
-- KEYS[17] limits  HASH   limits of tasks
-- KEYS[18..] r9 .. r0 LIST of each queue that the worker serves
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] channel  prefix of the outcome channels
-- ARGV[3] service  us, run time
-- ARGV[4] queue    of the message, and of the one that is released
-- ARGV[5] id       the message
-- ARGV[6] token    its grant
-- ARGV[7] has outcome 0|1
-- ARGV[8] ttl      ms
-- ARGV[9] payload  encoded outcome
-- ARGV[10] then    the continuation
-- ARGV[11] value   of the part
-- ARGV[12] worker  id
-- ARGV[13] lease_ms ms
-- ARGV[14] seen    generation of the revoked stamps that the worker knows
-- ARGV[15] queues served
-- Returns: {now, id, raw} of the message that is leased now, under the token of the one that ended;
--          '' when nothing was done.
-- Invariants: leased -> gone with its outcome stored, and gone -> leased, in the same step. A message
--             that is ready, a limit of any kind, a queue that is paused, a worker that is cordoned:
--             nothing is done.
-- Complexity: O(1), and O(queues served).
-- @include clock
-- @include admit
-- @include outcome
-- @include put
local messages, attempts, leased, leases, grants = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local stats, waiting, thens, record = KEYS[7], KEYS[9], KEYS[12], KEYS[13]
local now, queue, id, token = clock(ARGV[1]), ARGV[4], ARGV[5], ARGV[6]
local payload, continuation, value = ARGV[9], ARGV[10], ARGV[11]

-- What stands in the way of the lease: the same as where a message is fetched.
if redis.call('HGET', leased, id) ~= token or redis.call('HGET', KEYS[6], token) ~= '1' then return '' end
if redis.call('EXISTS', KEYS[17], unpack(KEYS, 18, 17 + 10 * tonumber(ARGV[15]))) > 0 then return '' end
local kept = redis.call('HMGET', KEYS[8], 'paused', 'rate_limit', 'max_concurrency')
if kept[1] == '1' or kept[2] or kept[3] then return '' end
local until_ms = redis.call('ZSCORE', KEYS[14], ARGV[12])
if until_ms and tonumber(until_ms) > now then return '' end
if (redis.call('GET', KEYS[16]) or '0') ~= ARGV[14] then return '' end

-- One part, one message, and that is for this queue and due.
local need, have, failure, plan, chunk = unpack(redis.call('HMGET', record, 'need', 'have', 'fail',
  'plan', 'r0'))
if need ~= '1' or have or failure or not chunk then return '' end
local cap, formats, chunks = unpack(cmsgpack.unpack(plan))
local releases = cmsgpack.unpack(chunk)
if chunks ~= 1 or #releases ~= 1 or #formats > 1 then return '' end
local next, to, priority, due, expires, address, headers, before, _, after, takes, _, _, feeds =
  unpack(releases[1])
due = absolute(now, due)
if to ~= queue or due > now or (takes ~= '' and takes ~= formats) then return '' end
local joined = takes == '' and '' or value
if #address + 4 + #headers + #before + #joined + #after > cap then return '' end
local known = redis.call('HMGET', attempts, id, next)
if known[1] or known[2] or redis.call('ZSCORE', KEYS[15], next) then return '' end
if redis.call('HEXISTS', messages, next) == 1 then return '' end

local raw = stamp(now, priority, due, absolute(now, expires),
  address .. struct.pack('>I4', #headers) .. headers .. before .. joined .. after)
admit(leases, #payload + #raw)
if ARGV[7] == '1' then
  store(KEYS[10], payload, ARGV[8])
  announce(waiting, ARGV[2], id, payload)
end
redis.call('HSET', messages, next, raw)
redis.call('HDEL', messages, id)
-- The grant of the one goes on as that of the other. First in, then out: no hash is made anew.
redis.call('HSET', leased, next, token)
redis.call('HDEL', leased, id)
redis.call('HSET', grants, token, ARGV[12] .. '\n' .. cmsgpack.pack({next}))
redis.call('ZADD', leases, now + ARGV[13], token)
redis.call('DEL', record)
redis.call('ZREM', thens, continuation)
if feeds ~= '' then redis.call('ZADD', thens, 'XX', now, feeds) end
if redis.call('HINCRBY', stats, 'enqueued', 1) == 1 then redis.call('SADD', KEYS[11], queue) end
redis.call('HINCRBY', stats, 'completed', 1)
redis.call('HINCRBY', stats, 'service_us', ARGV[3])
return {now, next, raw}
