-- Locks (windlass/uniqueness.py): mode:until ms:first ms:at ms:id. `until` ends a period or a throttle,
-- `first` is the first call of a debounce, `at` when the holder was stored.

-- lock_of(text): a lock as a table, nil for none.
local function lock_of(text)
  local mode, until_ms, first, at, id = string.match(text or '', '^(%a+):(%d+):(%d+):(%d+):(.*)$')
  if not mode then return nil end
  return {mode = mode, until_ms = tonumber(until_ms), first = tonumber(first), at = tonumber(at), id = id}
end

-- lock_text(mode, until_ms, first, at, id): the same as text.
local function lock_text(mode, until_ms, first, at, id)
  return string.format('%s:%d:%d:%d:', mode, until_ms, first, at) .. id
end

-- state_of(leased, dead, condemned, now, lock, raw): where the holder is: 'LEASED', 'WAITS', nil where it
-- will not run any more (dead, revoked, expired).
local function state_of(leased, dead, condemned, now, lock, raw)
  if redis.call('ZSCORE', dead, lock.id) or redis.call('SISMEMBER', condemned, lock.id) == 1 then
    return nil
  end
  if redis.call('HEXISTS', leased, lock.id) == 1 then return 'LEASED' end
  local expires = struct.unpack('>I6', raw, 15)
  return (expires == 0 or expires > now) and 'WAITS' or nil
end

-- never_started(attempts, lock, raw): whether the holder is as it was stored: a retry is stamped anew, a
-- crash counted, or suspected (attempts.lua).
local function never_started(attempts, lock, raw)
  local counters = redis.call('HGET', attempts, lock.id) or '0:0'
  local suspect = string.match(counters, '^%d+:%d+:%d+:(%d+)') or '0'
  return struct.unpack('>I6', raw, 3) == lock.at and string.match(counters, '^0:') ~= nil and suspect == '0'
end
