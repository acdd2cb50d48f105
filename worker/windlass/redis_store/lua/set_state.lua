-- Store a state that does not end the message (STARTED, PROGRESS, a custom one).
-- KEYS[1] leased HASH   id -> token
-- KEYS[2] result STRING its outcome
-- ARGV[1] id     the message
-- ARGV[2] token  its grant
-- ARGV[3] ttl    ms
-- ARGV[4] payload encoded outcome
-- Returns: 1, or 0 when the token was stale (nothing was done).
-- Invariants: moves no message.
-- Complexity: O(1).
-- @include settle
-- @include outcome
local leased, result = KEYS[1], KEYS[2]
local id, token, ttl, payload = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not owns(leased, id, token) then return 0 end
store(result, payload, ttl)
return 1
