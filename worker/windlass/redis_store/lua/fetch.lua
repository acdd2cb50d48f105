-- Lease up to `want` messages for a worker, from its queues in the order given.
-- KEYS[1] messages  HASH   id -> bytes
-- KEYS[2] attempts  HASH   id -> "deliveries:handbacks"
-- KEYS[3] revoked   ZSET   tombstones
-- KEYS[4] tokens    STRING last fencing token
-- KEYS[5] cordon    ZSET   worker by the time its cordon ends, ms
-- KEYS[6] stamps    ZSET   revoked stamps by the time they expire, ms
-- KEYS[7] generation STRING of the revoked stamps
-- KEYS[8] limits    HASH   task -> what it declares (lib/limits.lua)
-- KEYS[9] holds     HASH   id -> the slots it has (lib/slots.lua)
-- KEYS[10] gates    HASH   slots in use, tokens, and who waits
-- KEYS[11..] for each queue, 25 keys: r9 .. r0 LIST, leased HASH, leases ZSET, grants HASH, left HASH,
--           scheduled ZSET, record HASH, stats HASH, wake LIST, idle STRING, parked HASH, condemned
--           SET, blocked HASH, line ZSET, retry ZSET, turns ZSET
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] worker    id
-- ARGV[3] want      messages, 1000 at most
-- ARGV[4] lease_ms  ms
-- ARGV[5] wait_ms   ms; register as waiting so long when nothing is there (0: do not)
-- ARGV[6] strict    1: queues strictly in order; 0: an even share of `want` first
-- ARGV[7] max_bytes stop after so many bytes (at least one message is taken)
-- ARGV[8] seen      generation of the revoked stamps that the worker knows
-- ARGV[9] idle      lanes that could begin at once: of a scarce slot no more are taken (share_of)
-- Returns: {now, next_due (0: nothing), cordoned 0|1, paused {q..}, expired {q..},
--           parked {q, generation, ..}, grants {{q, token, ids, raws, marks}, ..},
--           stamps {generation, {mark, until_ms, ..}} if it is not the one seen,
--           keeps {q, 'expired' and 'failed' as the record says, ..}}; q counts from 0;
--           marks holds what marks_of (lib/marks.lua) says of the unusual ones only.
-- Invariants: scheduled and due -> ready; ready -> leased under one new token for each queue; ready ->
--             blocked where a limit has no room, blocked -> ready | leased where it has. The token is
--             negative if ending one of its messages makes room for others (free_slots.lua).
-- Complexity: O(want), O(log scheduled) for each due one.
-- @include clock
-- @include marks
-- @include condemned
local messages, attempts, revoked, tokens, cordon = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now, worker, want = clock(ARGV[1]), ARGV[2], math.min(tonumber(ARGV[3]), 1000)
local lease_ms, wait_ms, strict = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local max_bytes, idle, limits = tonumber(ARGV[7]), tonumber(ARGV[9]), KEYS[8]
local FIRST, PER, LONG = 11, 25, string.rep('.', 65)
local nq, bytes = (#KEYS - FIRST + 1) / PER, 0
-- A call drops about so many ids that came to nothing: a crowd of them must not hold up the others.
local drops = 2500
local next_due, paused, expired, parked, grants = 0, {}, {}, {}, {}

local function key(q, offset) return KEYS[FIRST + q * PER + offset] end

-- What holds to limits; made only where there are some, and once.
local function library()
-- @include put
-- @include slots
-- @include rates
-- @include limits
  return {limiter = limiter, queue_gate = queue_gate, close_queue = close_queue, wake = wake}
end

local where, lib = {limits, KEYS[10]}, nil
for q = 0, nq - 1 do where[q + 3] = key(q, 23) end
if redis.call('EXISTS', unpack(where)) > 0 then lib = library() end
local limiter_ = lib and lib.limiter(now, messages, attempts, limits, KEYS[9], KEYS[10], idle,
  tonumber(redis.call('GET', tokens) or '0'))

-- A queue as the limiter sees it.
local function limited_queue(q)
  local at = FIRST + q * PER
  return {name = string.match(key(q, 0), '^windlass:{[^}]*}:q:(.*):r9$'), blocked = key(q, 21),
    line = key(q, 22), retry = key(q, 23), turns = key(q, 24), stats = key(q, 16),
    ready = {unpack(KEYS, at, at + 9)}}
end

local function soonest(at)
  if at and (next_due == 0 or tonumber(at) < next_due) then next_due = tonumber(at) end
end

-- Due messages become ready behind what is ready already, in the order of their due times.
-- The first write is the removal: it needs no memory, so that a full broker goes on with the rest.
local function promote(q, limit)
  local due = redis.call('ZRANGEBYSCORE', key(q, 14), '-inf', now, 'LIMIT', 0, limit)
  if #due > 0 then redis.call('ZREM', key(q, 14), unpack(due)) end
  for _, member in ipairs(due) do
    redis.call('RPUSH', key(q, 57 - string.byte(member)), string.sub(member, 2))
  end
end

-- Pops until `n` messages are found or the lists are empty.
local function take(q, n, ids, raws, limited)
  if redis.call('EXISTS', unpack(KEYS, FIRST + q * PER, FIRST + q * PER + 9)) == 0 then return 0 end
  local level, got, first = 0, 0, 8
  while level < 10 and got < n and drops > 0 and (bytes < max_bytes or bytes == 0) do
    -- The first few show how large the bodies are, so that huge ones are not read in bulk.
    local room = got == 0 and 8 or math.max(1, math.floor((max_bytes - bytes) * #raws / (bytes + 1)))
    local popped = redis.call('LPOP', key(q, level), math.min(n - got, room, 1000))
    if not popped then
      level = level + 1
    else
      drops = drops - #popped
      popped = drop_condemned(key(q, 20), messages, attempts, popped)
      local found = #popped > 0 and redis.call('HMGET', messages, unpack(popped)) or {}
      if limited then popped, found = limiter_.pass(limited, popped, found) end
      for i, raw in ipairs(found) do
        if raw then
          ids[#ids + 1], raws[#raws + 1], got, bytes = popped[i], raw, got + 1, bytes + #raw
          drops = drops + 1
        end
      end
    end
  end
  return got
end

local function grant(q, ids, raws, has_slots, limited)
  -- As text once: a number would be formatted for each id.
  local token, pairs_, n = string.format('%d', redis.call('INCR', tokens)), {}, #ids
  if has_slots then token = '-' .. token end
  if limited then limiter_.note(limited, ids, token) end
  for i = 1, n do pairs_[2 * i - 1], pairs_[2 * i] = ids[i], token end
  -- A long value makes a hash table of the hash, for good: as a listpack it would be searched from
  -- end to end for every id of every settlement.
  local is_new = redis.call('EXISTS', key(q, 10)) == 0
  if is_new then redis.call('HSET', key(q, 10), '', LONG) end
  for i = 1, 2 * n, 2000 do
    redis.call('HSET', key(q, 10), unpack(pairs_, i, math.min(i + 1999, 2 * n)))
  end
  if is_new then redis.call('HDEL', key(q, 10), '') end
  redis.call('ZADD', key(q, 11), now + lease_ms, token)
  redis.call('HSET', key(q, 12), token, worker .. '\n' .. cmsgpack.pack(ids))
  redis.call('HSET', key(q, 13), token, n)
  grants[#grants + 1] = {q, tonumber(token), ids, raws, marks_of(attempts, revoked, now, ids)}
end

local until_ms = redis.call('ZSCORE', cordon, worker)
if until_ms and tonumber(until_ms) > now then return {now, 0, 1, {}, {}, {}, {}, {}, {}} end

local taken, total, live, caps, limited, keeps = {}, 0, {}, {}, {}, {}
for q = 0, nq - 1 do
  local record = redis.call('HMGET', key(q, 15), 'paused', 'rate_limit', 'max_concurrency', 'dead_expired',
    'dead_failed')
  local ends = (record[4] == '1' and 'expired ' or '') .. (record[5] == '1' and 'failed' or '')
  if ends ~= '' then keeps[#keeps + 1], keeps[#keeps + 2] = q, ends end
  if record[1] == '1' then
    paused[#paused + 1] = q
  else
    live[#live + 1] = q
    taken[q] = {{}, {}}
    promote(q, math.max(want, 100))
    if record[2] or record[3] then
      lib = lib or library()
      caps[q] = lib.queue_gate(record, key(q, 16), key(q, 10), now, idle)
    end
    if limiter_ then
      limited[q] = limited_queue(q)
      limiter_.reopen(limited[q], math.min(want, caps[q] and caps[q].may or want))
    end
  end
end
local share, dry = strict and want or math.ceil(want / math.max(1, #live)), {}
for pass = 1, 2 do
  for _, q in ipairs(live) do
    local room = math.min(pass == 1 and share or want, want - total)
    if caps[q] then room = math.min(room, caps[q].may - #taken[q][1]) end
    if room > 0 and not dry[q] then
      local kept = limiter_ and limiter_.share(limited[q], room) or 0
      local got = take(q, room - kept, taken[q][1], taken[q][2], limited[q])
      if limiter_ then
        local more, size = limiter_.serve(limited[q], room - got, max_bytes - bytes, unpack(taken[q]))
        got, bytes = got + more, bytes + size
        -- Those who take turns have left some of it.
        if kept > 0 and got < room then
          got = got + take(q, room - got, taken[q][1], taken[q][2], limited[q])
        end
      end
      total, dry[q] = total + got, got < room
    end
  end
end
for _, q in ipairs(live) do
  local ids, raws = unpack(taken[q])
  local has_slots = caps[q] and caps[q].room or limiter_ and limiter_.has_slots(ids)
  if #ids > 0 then grant(q, ids, raws, has_slots, limited[q]) end
end
for q = 0, nq - 1 do
  local first = redis.call('ZRANGE', key(q, 11), 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= now then expired[#expired + 1] = q end
  if redis.call('HLEN', key(q, 19)) > 0 then
    parked[#parked + 1] = q
    parked[#parked + 1] = tonumber(redis.call('HGET', key(q, 16), 'parks') or '0')
  end
  if total < want then
    soonest(first[2])
    if taken[q] then soonest(redis.call('ZRANGE', key(q, 14), 0, 0, 'WITHSCORES')[2]) end
  end
  local nudge
  if limited[q] then
    local at, other = limiter_.finish(limited[q])
    if total < want then soonest(at) end
    nudge = other
  end
  if caps[q] then
    local at, other = lib.close_queue(caps[q], key(q, 16), #taken[q][1], now)
    nudge = nudge or other
    local waits = at and total < want and -redis.call('SCARD', key(q, 20)) or 0
    for level = 0, at and total < want and 9 or -1 do waits = waits + redis.call('LLEN', key(q, level)) end
    if waits > 0 then soonest(at) end
  end
  -- With nothing left to take, wake tokens mean nothing; whatever comes next pushes a new one.
  if total == 0 and want > 0 and drops > 0 and wait_ms > 0 then
    redis.call('DEL', key(q, 17))
    redis.call('SET', key(q, 18), '1', 'PX', wait_ms)
  end
  if nudge then lib.wake(key(q, 18), key(q, 17), 1) end
end
if limiter_ then limiter_.save() end
if drops <= 0 then soonest(now) end
local stamps, generation = {}, tonumber(redis.call('GET', KEYS[7]) or '0')
if generation ~= tonumber(ARGV[8]) then
  stamps = {generation, redis.call('ZRANGEBYSCORE', KEYS[6], '(' .. now, '+inf', 'WITHSCORES')}
end
return {now, next_due, 0, paused, expired, parked, grants, stamps, keeps}
