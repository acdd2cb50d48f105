-- Which outcomes are to be copied next; one copier at a time, to save work (two do no harm).
-- KEYS[1] outbox ZSET   id by generation
-- KEYS[2] copier STRING who copies now; expires
-- ARGV[1] me     name of the caller
-- ARGV[2] hold   ms, for so long nobody else is let in
-- ARGV[3] limit  ids at most
-- Returns: id, generation, .. of the oldest; empty when there is nothing; 'BUSY' when another copies.
-- Invariants: moves nothing; whoever finds nothing lets others in at once.
-- Complexity: O(limit + log outbox).
local outbox, copier = KEYS[1], KEYS[2]
local me, hold, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local owner = redis.call('GET', copier)
if owner and owner ~= me then
  if redis.call('ZCARD', outbox) == 0 then return {} end
  return 'BUSY'
end
local found = redis.call('ZRANGE', outbox, 0, limit - 1, 'WITHSCORES')
if #found == 0 then
  redis.call('DEL', copier)
else
  redis.call('SET', copier, me, 'PX', hold)
end
return found
