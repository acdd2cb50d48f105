-- Read how far an earlier run of a message has come.
-- KEYS[1] messages    HASH id -> bytes
-- KEYS[2] checkpoints HASH id -> when its message was enqueued, its retries, the checkpoint
-- ARGV[1] id      the message
-- ARGV[2] retries of the run
-- Returns: the checkpoint, nil for none. One that an earlier message of the same id has left is none:
--          that message was enqueued at another time, unless this is a retry of it.
-- Invariants: changes nothing.
-- Complexity: O(1), and the size of the message.
local messages, checkpoints, id, retries = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local kept = redis.call('HGET', checkpoints, id)
local raw = kept and redis.call('HGET', messages, id)
if not raw then return nil end
local before = struct.unpack('>I4', kept, 7)
if before > retries then return nil end
if before == retries and string.sub(kept, 1, 6) ~= string.sub(raw, 3, 8) then return nil end
return string.sub(kept, 11)
