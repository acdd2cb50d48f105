-- Keep a copy of an outcome in another store than the broker's; may be repeated, in any order.
-- KEYS[1] kept       STRING 8 bytes of generation, then the outcome; nothing after them: forgotten
-- ARGV[1] generation of this copy
-- ARGV[2] ttl        ms, 0 for ever
-- ARGV[3] payload    encoded outcome
-- Returns: 1 when it is kept, 0 when a newer one is there already.
-- Invariants: the generation of a key never goes back while the key lives.
-- Complexity: O(1).
local kept, generation, ttl, payload = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local old = redis.call('GETRANGE', kept, 0, 7)
if #old == 8 and struct.unpack('>I8', old) > generation then return 0 end
local value = struct.pack('>I8', generation) .. payload
if ttl > 0 then redis.call('SET', kept, value, 'PX', ttl) else redis.call('SET', kept, value) end
return 1
