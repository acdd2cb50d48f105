-- Drop locks that hold nothing any more, a bounded part at a time.
-- KEYS[1] messages HASH id -> bytes
-- KEYS[2] unique   HASH key -> lock (lock.lua)
-- ARGV[1] now_ms   ms, '' for the server's clock
-- ARGV[2] cursor   '0' to begin with
-- ARGV[3] count    locks, about
-- Returns: {cursor of the next call, '0' at the end; how many were looked at; how many were dropped}.
-- Invariants: a lock whose message is there, or whose time is not over, stays.
-- Complexity: O(count).
-- @include clock
-- @include lock
local messages, unique = KEYS[1], KEYS[2]
local now, cursor, count = clock(ARGV[1]), ARGV[2], ARGV[3]
local scanned = redis.call('HSCAN', unique, cursor, 'COUNT', count)
local pairs_, stale = scanned[2], {}
for i = 1, #pairs_, 2 do
  local lock = lock_of(pairs_[i + 1])
  local is_over = not lock or lock.until_ms <= now
  if is_over and lock and lock.mode ~= 'period' then
    is_over = redis.call('HEXISTS', messages, lock.id) == 0
  end
  if is_over then stale[#stale + 1] = pairs_[i] end
end
for i = 1, #stale, 1000 do
  redis.call('HDEL', unique, unpack(stale, i, math.min(i + 999, #stale)))
end
return {scanned[1], #pairs_ / 2, #stale}
