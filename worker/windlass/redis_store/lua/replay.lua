-- Make dead letters ready again as if new: counters, expiry, tombstone and outcome are forgotten, what
-- is remembered of their runs is not. They may be spread over time.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters and attempts
-- KEYS[3] dead     ZSET   dead letters
-- KEYS[4] obits    HASH   why they died
-- KEYS[5] wake     LIST   wake tokens
-- KEYS[6] idle     STRING exists while a worker waits
-- KEYS[7] revoked  ZSET   tombstones
-- KEYS[8] signals  HASH   revoked id -> signal
-- KEYS[9] scheduled ZSET  priority digit + id by due time
-- KEYS[10..19] r9 .. r0 LIST ids
-- KEYS[20..] result STRING one for each id, in order
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] first    ms, when the first that is replayed is due; '' for all of them at once
-- ARGV[3] apart    ms from one to the next
-- ARGV[4..] ids
-- Returns: how many were replayed; ids that are not dead letters are passed over.
-- Invariants: dead -> ready at the end | scheduled, the sender's bytes untouched; all bytes of a version
--             that is not known here. The generation grows by one.
-- Complexity: O(ids * log dead).
-- @include clock
-- @include attempts
-- @include again
-- @include put
local messages, attempts, dead, obits = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local wake_list, idle, revoked, signals, scheduled = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local now, first, apart = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local FIRST_READY, FIRST_RESULT, FIRST_ID, count_ = 10, 20, 4, 0
for i = FIRST_ID, #ARGV do
  local id = ARGV[i]
  local raw = redis.call('HGET', messages, id)
  if redis.call('ZREM', dead, id) == 1 then
    revive(obits, attempts, revoked, signals, KEYS[FIRST_RESULT + i - FIRST_ID], id, now, '')
    local at = ready_list(FIRST_READY, messages, id)
    if at then
      local priority, due = FIRST_READY + 9 - at, 0
      if first ~= '' then due = math.floor(tonumber(first) + apart * count_) end
      if due <= now then due = 0 end
      if string.byte(raw) == 1 and #raw > 20 then
        redis.call('HSET', messages, id, stamp(now, priority, due, 0, string.sub(raw, 21)))
      end
      place(now, KEYS[at], scheduled, wake_list, idle, id, priority, due)
      count_ = count_ + 1
    end
  end
end
return count_
