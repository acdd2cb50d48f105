-- drop_condemned(condemned, messages, attempts, popped): drop what was revoked while it was ready; its
-- outcome was stored then. Returns the others.
local function drop_condemned(condemned, messages, attempts, popped)
  if redis.call('SCARD', condemned) == 0 then return popped end
  local kept, gone, flags = {}, {}, redis.call('SMISMEMBER', condemned, unpack(popped))
  for i, id in ipairs(popped) do
    if flags[i] == 0 then kept[#kept + 1] = id else gone[#gone + 1] = id end
  end
  if #gone == 0 then return popped end
  redis.call('SREM', condemned, unpack(gone))
  redis.call('HDEL', messages, unpack(gone))
  redis.call('HDEL', attempts, unpack(gone))
  return kept
end
