-- marks_of(attempts, revoked, now, ids): {index from 0, deliveries, handbacks, revoked 0|1, generation,
-- flags} of those ids that are not plain first deliveries.
local function marks_of(attempts, revoked, now, ids)
  local marks, counted, stones = {}, nil, nil
  if redis.call('HLEN', attempts) > 0 then counted = redis.call('HMGET', attempts, unpack(ids)) end
  if redis.call('ZCARD', revoked) > 0 then stones = redis.call('ZMSCORE', revoked, unpack(ids)) end
  if not counted and not stones then return marks end
  for i = 1, #ids do
    local stone = stones and stones[i] and tonumber(stones[i]) > now
    if stone or (counted and counted[i]) then
      local value = counted and counted[i] or '0:0'
      local d, h, g, s = string.match(value, '^(%d+):(%d+):?(%d*):?(%d*)')
      marks[#marks + 1] = {i - 1, tonumber(d), tonumber(h), stone and 1 or 0, tonumber(g) or 0,
        tonumber(s) or 0}
    end
  end
  return marks
end
