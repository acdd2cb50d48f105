-- is_live(messages, dead, condemned, now, id): whether a run waits or runs; second: it is dead.
local function is_live(messages, dead, condemned, now, id)
  local raw = redis.call('HGET', messages, id)
  if not raw then return false, false end
  if redis.call('ZSCORE', dead, id) then return false, true end
  if redis.call('SISMEMBER', condemned, id) == 1 then return false, false end
  local expires = struct.unpack('>I6', raw, 15)
  return expires == 0 or expires > now, false
end

-- fold(schedule, runs, messages, dead, condemned, now): note in the schedule how its runs have ended.
-- Returns those that have not, as text.
local function fold(schedule, runs, messages, dead, condemned, now)
  local active = {}
  for _, run in ipairs(runs_of(redis.call('HGET', schedule, 'active'))) do
    local nominal, id = run[1], run[2]
    local ended = redis.call('HGET', runs, id)
    local live, is_dead = is_live(messages, dead, condemned, now, id)
    if live then
      active[#active + 1] = nominal .. ':' .. id
    else
      if is_dead and (ended or '') == '' then ended = 'FAILURE:0:' .. now end
      local state, took, at = string.match(ended or '', '^(%u+):(%d+):(%d+)$')
      redis.call('HSET', schedule, 'run', id, 'run_nominal', nominal, 'state', state or '', 'took_ms',
        took or '', 'ended', at or '')
      if state == 'SUCCESS' then redis.call('HSET', schedule, 'failures', 0, 'succeeded', at)
      elseif state == 'FAILURE' then redis.call('HINCRBY', schedule, 'failures', 1) end
      redis.call('HDEL', runs, id)
    end
  end
  return active
end

-- note_run(runs, active, nominal, id): add a run to those that have not ended, 100 at most.
local function note_run(runs, active, nominal, id)
  active[#active + 1] = string.format('%d:%s', nominal, id)
  while #active > 100 do redis.call('HDEL', runs, string.match(table.remove(active, 1), ':(.*)$')) end
  redis.call('HSET', runs, id, '')
end
