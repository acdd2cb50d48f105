-- has_ended(result): whether an outcome is kept that ended its message (windlass/results/codec.py).
local function has_ended(result)
  return redis.call('GETRANGE', result, 1, 1) == 'F'
end
