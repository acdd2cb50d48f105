-- Note how a run of a schedule ends, right before the commit that ends it, in the same round trip.
-- KEYS[1] runs   HASH   id of a run -> how it ended
-- KEYS[2] leased HASH   id -> token
-- ARGV[1] now_ms ms, '' for the server's clock
-- ARGV[2] id     the message
-- ARGV[3] token  its grant
-- ARGV[4] state  SUCCESS, FAILURE, REVOKED, IGNORED; '' notes nothing
-- ARGV[5] took   ms, run time
-- Returns: 1, or 0 when it is no run that is counted, or its token was stale (nothing was done).
-- Invariants: moves no message. It counts once the message is gone; a later run of it notes anew.
-- Complexity: O(1).
-- @include clock
-- @include settle
local runs, leased = KEYS[1], KEYS[2]
local now, id, token, state, took = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if state == '' or redis.call('HEXISTS', runs, id) == 0 then return 0 end
if not owns(leased, id, token) then return 0 end
redis.call('HSET', runs, id, string.format('%s:%s:%d', state, took, now))
return 1
