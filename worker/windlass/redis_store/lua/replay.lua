-- Make dead letters ready again as if new: counters, expiry, tombstone and outcome are forgotten.
-- KEYS[1] messages HASH   id -> bytes
-- KEYS[2] attempts HASH   counters
-- KEYS[3] dead     ZSET   dead letters
-- KEYS[4] obits    HASH   why they died
-- KEYS[5] wake     LIST   wake tokens
-- KEYS[6] idle     STRING exists while a worker waits
-- KEYS[7] revoked  ZSET   tombstones
-- KEYS[8] signals  HASH   revoked id -> signal
-- KEYS[9..18] r9 .. r0 LIST ids
-- KEYS[19..] result STRING one for each id, in order
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2..] ids
-- Returns: how many became ready; ids that are not dead letters are passed over.
-- Invariants: dead -> ready at the end, the sender's bytes untouched; all bytes of a version that
--             is not known here.
-- Complexity: O(ids * log dead).
-- @include clock
-- @include attempts
-- @include put
local messages, attempts, dead, obits = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local wake_list, idle, revoked, signals = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local now, FIRST_READY, FIRST_RESULT, ready = clock(ARGV[1]), 9, 19, 0
for i = 2, #ARGV do
  local id = ARGV[i]
  local raw = redis.call('HGET', messages, id)
  if redis.call('ZREM', dead, id) == 1 then
    redis.call('HDEL', obits, id)
    redis.call('HDEL', attempts, id)
    redis.call('ZREM', revoked, id)
    redis.call('HDEL', signals, id)
    redis.call('DEL', KEYS[FIRST_RESULT + i - 2])
    local at = ready_list(FIRST_READY, messages, id)
    if at then
      local priority = FIRST_READY + 9 - at
      if string.byte(raw) == 1 and #raw > 20 then
        redis.call('HSET', messages, id, stamp(now, priority, 0, 0, string.sub(raw, 21)))
      end
      redis.call('RPUSH', KEYS[at], id)
      ready = ready + 1
    end
  end
end
if ready > 0 then wake(idle, wake_list, ready) end
return ready
