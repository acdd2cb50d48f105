-- give(now, messages, key, id, index, failure, names): hand in the failed part of a message that ends
-- here, if it is one (id is that of the continuation, '' for none).
-- KEYS[key..]: queues, thens, record, then the keys of the queues that it sends to (targets).
local function give(now, messages, key, id, index, failure, names)
  if id == '' or not take_part(KEYS[key + 2], index, '', failure) then return end
  local at = targets(key + 3, names)
  release(now, messages, KEYS[key], KEYS[key + 1], KEYS[key + 2], id, at)
end
