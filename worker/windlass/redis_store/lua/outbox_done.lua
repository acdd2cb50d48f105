-- Remove outcomes that were copied, unless they have changed since.
-- KEYS[1] outbox  ZSET   id by generation
-- KEYS[2..] result STRING one for each id, in order
-- ARGV[1] n       ids; then for each: id, generation that was copied
-- Returns: how many were removed.
-- Invariants: an outcome leaves the broker only in the generation that was copied.
-- Complexity: O(n log outbox).
local outbox, n, FIRST_RESULT = KEYS[1], tonumber(ARGV[1]), 2
local removed = 0
for i = 0, n - 1 do
  local id, generation = ARGV[2 + 2 * i], ARGV[3 + 2 * i]
  if tonumber(redis.call('ZSCORE', outbox, id) or -1) == tonumber(generation) then
    redis.call('ZREM', outbox, id)
    redis.call('UNLINK', KEYS[FIRST_RESULT + i])
    removed = removed + 1
  end
end
return removed
