-- Free the slots of messages whose lease has ended, and let those be tried that wait for one.
-- KEYS[1] holds  HASH   id -> token, queue, gates
-- KEYS[2] gates  HASH   slots in use, and who waits for them
-- KEYS[3] retry  ZSET   gate by the time at which what waits for it may be tried
-- KEYS[4] stats  HASH   counters; full: a fetch left messages because of max_concurrency
-- KEYS[5] wake   LIST   wake tokens
-- KEYS[6] idle   STRING exists while a worker waits
-- ARGV[1] queue  name
-- ARGV[2] n      messages; then for each: id, token; then gates that are known to have room
-- Returns: {queue, gate, ..} of other queues in which messages wait for a slot that is free now: the
--          gates are to be told there.
-- Invariants: a message lets go of its slots once: another token holds them anew.
-- Complexity: O(n).
-- @include put
-- @include slots
local holds, gates, retry, stats, wake_list, idle = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local queue, n, ids, tokens = ARGV[1], tonumber(ARGV[2]), {}, {}
for i = 1, n do ids[i], tokens[i] = ARGV[1 + 2 * i], ARGV[2 + 2 * i] end
local freed = let_go(holds, gates, ids, tokens)
for a = 3 + 2 * n, #ARGV do freed[ARGV[a]] = true end
local woken, others = open_gates(gates, retry, queue, freed)
if redis.call('HDEL', stats, 'full') == 1 then woken = woken + n end
if woken > 0 then wake(idle, wake_list, woken) end
return others
