-- Change fields of a queue record.
-- KEYS[1] record   HASH   queue record
-- KEYS[2] queues   SET    queue names
-- KEYS[3] wake     LIST   wake tokens
-- KEYS[4] idle     STRING exists while a worker waits
-- ARGV[1] queue    name
-- ARGV[2] wake 0|1 whoever waits looks again; then for each field: name, value ('' removes it)
-- Returns: the whole record: {name, value, ..}.
-- Invariants: moves no message; the next fetch sees it. generation counts the changes.
-- Complexity: O(fields).
-- @include admit
-- @include put
local record, queues, wake_list, idle = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local queue, wakes, FIRST = ARGV[1], ARGV[2] == '1', 3
admit(record, 0)
for i = FIRST, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', record, ARGV[i])
  else redis.call('HSET', record, ARGV[i], ARGV[i + 1]) end
end
redis.call('HINCRBY', record, 'generation', 1)
redis.call('SADD', queues, queue)
if wakes then wake(idle, wake_list, 16) end
return redis.call('HGETALL', record)
