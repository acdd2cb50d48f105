-- Keep how far a run has come, for the next run of the message; or forget it.
-- KEYS[1] leased      HASH id -> token
-- KEYS[2] messages    HASH id -> bytes
-- KEYS[3] checkpoints HASH id -> when its message was enqueued, its retries, the checkpoint
-- KEYS[4] checked     ZSET id by the time its checkpoint was saved or looked at last, ms
-- ARGV[1] now_ms  ms, '' for the server's clock
-- ARGV[2] id      the message
-- ARGV[3] token   its grant
-- ARGV[4] retries of the run
-- ARGV[5] payload the checkpoint, '' to forget the one that is there
-- Returns: 1, or 0 when the token was stale (nothing was done).
-- Invariants: moves no message.
-- Complexity: O(log checkpoints), and the size of the message.
-- @include clock
-- @include settle
local leased, messages, checkpoints, checked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, id, token, retries, payload = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if not owns(leased, id, token) then return 0 end
if payload == '' then
  redis.call('HDEL', checkpoints, id)
  redis.call('ZREM', checked, id)
  return 1
end
local enqueued = string.sub(redis.call('HGET', messages, id), 3, 8)
redis.call('HSET', checkpoints, id, enqueued .. struct.pack('>I4', retries) .. payload)
redis.call('ZADD', checked, now, id)
return 1
