-- Store messages of one queue and one priority and make them ready or scheduled.
-- KEYS[1] messages  HASH   id -> bytes
-- KEYS[2] queues    SET    queue names
-- KEYS[3] ready     LIST   ids of this priority
-- KEYS[4] scheduled ZSET   priority digit + id by due time, ms
-- KEYS[5] stats     HASH   counters
-- KEYS[6] wake      LIST   wake tokens
-- KEYS[7] idle      STRING exists while a worker waits
-- KEYS[8..] result  STRING one for each message, in order; none where a kept outcome does not count
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] queue     name
-- ARGV[3] priority  0-9
-- ARGV[4] n         messages; then for each: id, due spec, expires spec, tail
-- Returns: the indexes (from 0) of ids that were there already, or have ended, and were left as they are.
-- Invariants: gone -> ready | scheduled; an id in any place stays as it is (idempotent); one that has
--             ended too, where its outcome counts.
-- Complexity: O(n), O(log scheduled) for each scheduled one.
-- @include clock
-- @include put
-- @include ended
local messages, queues, ready, scheduled = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local stats, wake_list, idle = KEYS[5], KEYS[6], KEYS[7]
local now, queue, priority, n = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local FIRST_RESULT, counts = 8, #KEYS > 7
local known, added, now_ready, plain = {}, 0, {}, stamp(now, priority, 0, 0, '')
for i = 0, n - 1 do
  local at = 5 + i * 4
  local id, due, expires = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local raw, when
  if due == '' and expires == '' then
    raw, when = plain .. ARGV[at + 3], 0
  else
    when = absolute(now, due)
    raw = stamp(now, priority, when, absolute(now, expires), ARGV[at + 3])
  end
  if (counts and has_ended(KEYS[FIRST_RESULT + i])) or redis.call('HSETNX', messages, id, raw) == 0 then
    known[#known + 1] = i
  else
    added = added + 1
    if when <= now then now_ready[#now_ready + 1] = id
    else place(now, ready, scheduled, wake_list, idle, id, priority, when) end
  end
end
for i = 1, #now_ready, 1000 do
  redis.call('RPUSH', ready, unpack(now_ready, i, math.min(i + 999, #now_ready)))
end
if #now_ready > 0 then wake(idle, wake_list, #now_ready) end
if added > 0 and redis.call('HINCRBY', stats, 'enqueued', added) == added then
  redis.call('SADD', queues, queue)
end
return known
