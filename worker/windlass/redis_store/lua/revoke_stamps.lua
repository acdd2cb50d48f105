-- Mark values of stamped headers as revoked; workers see that the marks have changed.
-- KEYS[1] stamps     ZSET   revoked stamps by the time they expire, ms
-- KEYS[2] generation STRING changes with each call
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] keep_ms ms, life of a mark
-- ARGV[3..] the marks
-- Returns: the generation.
-- Invariants: a mark is never seen with an older generation; both end with the last mark.
-- Complexity: O(log n) for each mark.
-- @include clock
local stamps, generation = KEYS[1], KEYS[2]
local now, keep_ms = clock(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', stamps, '-inf', now)
for i = 3, #ARGV do redis.call('ZADD', stamps, 'GT', now + keep_ms, ARGV[i]) end
redis.call('PEXPIRE', stamps, keep_ms)
-- A time, so that it is not one that was there before all of it expired.
local next_ = math.max(now, tonumber(redis.call('GET', generation) or '0') + 1)
redis.call('SET', generation, string.format('%d', next_), 'PX', keep_ms)
return next_
