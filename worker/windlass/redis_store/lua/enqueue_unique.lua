-- Store a message unless another one holds its lock; then the holder stays, is replaced, or is given what
-- the message says, as the caller wants.
-- KEYS[1] messages  HASH   id -> bytes
-- KEYS[2] unique    HASH   key -> lock (lock.lua)
-- KEYS[3] attempts  HASH   counters
-- KEYS[4] queues    SET    queue names
-- KEYS[5] waiting   ZSET   ids somebody waits for
-- KEYS[6] result    STRING outcome of the message
-- KEYS[7] other     STRING outcome of the holder, `result` while it is not known
-- KEYS[8] ready     LIST   ids of this priority
-- KEYS[9] scheduled ZSET   priority digit + id by due time, ms
-- KEYS[10] stats    HASH   counters
-- KEYS[11] wake     LIST   wake tokens
-- KEYS[12] idle     STRING exists while a worker waits
-- KEYS[13] leased   HASH   of the holder's queue: id -> token
-- KEYS[14] its_scheduled ZSET of the holder's queue
-- KEYS[15] parked   HASH   of the holder's queue
-- KEYS[16] dead     ZSET   of the holder's queue
-- KEYS[17] condemned SET   of the holder's queue
-- KEYS[18] blocked  HASH   of the holder's queue
-- KEYS[19] line     ZSET   of the holder's queue
-- KEYS[20..] if the holder is a part of a continuation, what give.lua says
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] queue     name
-- ARGV[3] priority  0-9
-- ARGV[4] id        of the message
-- ARGV[5] due       spec
-- ARGV[6] expires   spec
-- ARGV[7] tail      bytes
-- ARGV[8] key       of the lock
-- ARGV[9] mode      'queued', 'started', 'done', 'period', 'debounce', 'throttle'
-- ARGV[10] period   ms, of a period or a throttle; the wait of a debounce
-- ARGV[11] max_wait ms, of a debounce after its first call, 0 for ever
-- ARGV[12] on_duplicate 'return', 'reject', 'replace'
-- ARGV[13] again    1: an earlier try may have done it
-- ARGV[14] its_queue that KEYS 13-19 belong to
-- ARGV[15] holder   that the rest is about, '' while it is not known
-- ARGV[16] asks     1: the tail must be made for the id that it is stored under
-- ARGV[17] has outcome 0|1
-- ARGV[18] ttl      ms
-- ARGV[19] payload  encoded outcome of a holder that is replaced
-- ARGV[20] channel  prefix of the outcome channels
-- ARGV[21] then     the continuation that the holder is a part of, '' for none
-- ARGV[22] index    of that part
-- ARGV[23] failure  that the part is
-- ARGV[24] names    of the queues that the continuation sends to
-- Returns: {'NEW', id}, also where it replaced the holder; {'KNOWN', id} when it is there or has ended;
--          {'MERGED', holder}: that has its arguments now; {'HELD', holder, is leased 0|1}. Or nothing was
--          done: {'ELSEWHERE', queue} that the holder is in; {'REPLACE', holder, its bytes without the
--          body}, {'MERGE', holder}: call again with the holder.
-- Invariants: gone -> ready | scheduled with the lock taken; replaced: waits -> gone with its outcome and
--             its part; one holder of a key at a time.
-- Complexity: O(log scheduled).
-- @include clock
-- @include ended
-- @include head
-- @include lock
-- @include outcome
-- @include withdraw
-- @include put
-- @include targets
-- @include continuation
-- @include give
local messages, unique, attempts, queues, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local result, other, ready, scheduled, stats = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local wake_list, idle, leased, its_scheduled = KEYS[11], KEYS[12], KEYS[13], KEYS[14]
local parked, dead, condemned, FIRST = KEYS[15], KEYS[16], KEYS[17], 20
local blocked, line = KEYS[18], KEYS[19]
local now, queue, priority, id = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local due, expires, tail, key, mode = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local period, max_wait, on_duplicate, again = tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12], ARGV[13] == '1'
local its_queue, holder, asks = ARGV[14], ARGV[15], ARGV[16] == '1'
local has_outcome, ttl, payload, channel = ARGV[17] == '1', ARGV[18], ARGV[19], ARGV[20]
local continuation, index, failure, names = ARGV[21], ARGV[22], ARGV[23], ARGV[24]
local merges = mode == 'debounce' or mode == 'throttle'
local lock = lock_of(redis.call('HGET', unique, key))
if redis.call('HEXISTS', messages, id) == 1 or has_ended(result) then return {'KNOWN', id} end
if lock and lock.id == id and again then return {'KNOWN', id} end
local raw, state, is_new = lock and redis.call('HGET', messages, lock.id), nil, nil

local function holds()
  if lock.mode == 'period' then return lock.until_ms > now end
  if lock.mode == 'done' then return state ~= nil end
  if state ~= 'WAITS' then return false end
  return lock.mode == 'queued' or is_new
end
local function debounced(first)
  return max_wait > 0 and math.min(now + period, first + max_wait) or now + period
end
local function keep_lock(holder_id, until_ms, first)
  redis.call('HSET', unique, key, lock_text(mode, until_ms, first, now, holder_id))
end

-- Give the holder what the message says; false where it cannot be: it is ready or parked elsewhere.
local function merge()
  local level = string.sub(raw, 2, 2)
  local score = redis.call('ZSCORE', its_scheduled, level .. lock.id)
  local is_parked = redis.call('HEXISTS', parked, lock.id) == 1
  if not score and (its_queue ~= queue or not (is_parked or level == ARGV[3])) then return false end
  local when, first = struct.unpack('>I6', raw, 9), lock.first > 0 and lock.first or now
  if score and tonumber(score) > now and mode == 'debounce' then when = debounced(first) end
  redis.call('HSET', messages, lock.id, stamp(now, priority, when, absolute(now, expires), tail))
  if score then
    redis.call('ZREM', its_scheduled, level .. lock.id)
    place(now, ready, scheduled, wake_list, idle, lock.id, priority, when)
    redis.call('SADD', queues, queue)
  end
  keep_lock(lock.id, lock.until_ms, first)
  return true
end

local function store_message(when)
  redis.call('HSET', messages, id, stamp(now, priority, when, absolute(now, expires), tail))
  place(now, ready, scheduled, wake_list, idle, id, priority, when)
  if redis.call('HINCRBY', stats, 'enqueued', 1) == 1 then redis.call('SADD', queues, queue) end
end

local function replace()
  withdraw(messages, attempts, its_scheduled, parked, condemned, blocked, line, lock.id, raw)
  if has_outcome then
    store(other, payload, ttl)
    announce(waiting, channel, lock.id, payload)
  end
  give(now, messages, FIRST, continuation, index, failure, names)
end

if raw then
  local found = string.sub(raw, 22, 21 + (string.byte(raw, 21) or 0))
  if found ~= its_queue then return {'ELSEWHERE', found} end
  state = state_of(leased, dead, condemned, now, lock, raw)
  is_new = state == 'WAITS' and never_started(attempts, lock, raw)
end
if merges then
  if is_new and asks and holder ~= lock.id then return {'MERGE', lock.id} end
  if is_new and merge() then return {'MERGED', lock.id} end
  if mode == 'debounce' then
    store_message(debounced(now))
    keep_lock(id, 0, now)
  else
    local slot = math.max(now, lock and lock.mode == 'throttle' and lock.until_ms or 0)
    store_message(slot)
    keep_lock(id, slot + period, 0)
  end
  return {'NEW', id}
end
local is_held = lock and holds()
local replaces = is_held and on_duplicate == 'replace' and state == 'WAITS'
if is_held and not replaces then return {'HELD', lock.id, state == 'LEASED' and 1 or 0} end
if replaces and holder ~= lock.id then return {'REPLACE', lock.id, head_of(raw) or ''} end
store_message(absolute(now, due))
keep_lock(id, mode == 'period' and now + period or 0, 0)
if replaces then replace() end
return {'NEW', id}
