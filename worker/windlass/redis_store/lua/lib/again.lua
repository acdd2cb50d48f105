-- revive(obits, attempts, revoked, signals, result, id, now, digest): forget the end of a dead letter. Its
-- attempts stay, with a mark of the replay; digest is that of the bytes before a change, '' for none.
-- Flag 4 of the counters: the retries that its headers name are not those of this generation.
local function revive(obits, attempts, revoked, signals, result, id, now, digest)
  local c, lines = counters(attempts, id)
  local mark = {['end'] = 'replayed', generation = c[3]}
  if digest ~= '' then mark.digest = digest end
  redis.call('HDEL', obits, id)
  count(attempts, id, {0, 0, c[3] + 1, 4}, remembered(lines, now, cjson.encode(mark)))
  redis.call('ZREM', revoked, id)
  redis.call('HDEL', signals, id)
  redis.call('DEL', result)
end
