-- Limits, as one fetch sees and changes them. `limits`: task -> what it declares, JSON: rate ("10/s"),
-- max (runs at once), per_key (runs at once of one key), fair (keys take turns), keyed (its calls have
-- keys: a message without one only goes to a worker to be given its key, past all gates).
-- A gate is what has room or has not: r<task> its rate, c<task> its runs, k<key>\t<task> those of a
-- key. What finds no room waits in the line of that gate: `line` is a ZSET of gate\norder\nid, `blocked`
-- a HASH of id -> gate\norder, `retry` a ZSET of gates by the time at which they may be tried. Of a
-- task whose keys take turns all waits in lines of keys: `turns` is a ZSET of those by their turn,
-- and F<task> stands for them all in `retry`.
-- A queue is {name, blocked, line, retry, turns, stats, ready (a list of ten keys, priority 9 first)}.

-- After so long a message is tried again for which there is a slot, but no lane here to use it at once.
local AGAIN_MS = 20

-- share_of(room, idle): how many of the free slots a worker may take that has so many idle lanes, or
-- that many more messages in hand than lanes, if it is negative: as many as can begin at once, and
-- half of the others at most while there are plenty.
local function share_of(room, idle)
  return math.min(room, math.max(idle, math.floor(room / 2) + math.min(idle, 0)))
end

-- queue_gate(record, stats, leased, now, idle): how many messages the queue's record allows (may), nil
-- where it sets no limit; record: paused, rate_limit, max_concurrency.
local function queue_gate(record, stats, leased, now, idle)
  local rate, most = record[2], tonumber(record[3] or '')
  if not rate and not most then return nil end
  local gate = {may = math.huge}
  if rate then
    gate.rate = rate_gate(rate, redis.call('HGET', stats, 'tat'), now)
    gate.may = gate.rate.may
  end
  if most then
    gate.room = most - redis.call('HLEN', leased)
    gate.may = math.min(gate.may, share_of(gate.room, idle))
  end
  return gate
end

-- close_queue(gate, stats, n, now): note that n were taken; returns when the next may be, nil if that
-- is told by whoever frees a slot.
local function close_queue(gate, stats, n, now)
  if gate.rate and n > 0 then
    gate.rate.taken = n
    redis.call('HSET', stats, 'tat', kept_rate(gate.rate))
  end
  if n < gate.may then return nil end
  if gate.rate and n >= gate.rate.may then return next_token(gate.rate) end
  if n < gate.room then return now + AGAIN_MS end
  redis.call('HSET', stats, 'full', '1')
  return nil
end

-- limiter(now, messages, limits, holds, gates, idle, spin): `idle` as share_of takes it; `spin` differs
-- from fetch to fetch.
local function limiter(now, messages, limits, holds, gates, idle, spin)
  local ORDER, CLASS, LEVEL, CLASSES = 24, 2 ^ 44, 2 ^ 40, 500
  local specs, known, was, slots_of, L = {}, {}, {}, {}, {}

  local function spec_of(task)
    if specs[task] == nil then
      local text = redis.call('HGET', limits, task)
      specs[task] = text and cjson.decode(text) or {}
    end
    return specs[task]
  end

  -- task, key, order and whether it has expired, of a message; nil where its bytes are damaged.
  local function head_of(raw)
    local at = 22 + (string.byte(raw, 21) or 0)
    if string.byte(raw) ~= 1 or #raw < at + 2 then return nil end
    local first = at + 2 + struct.unpack('>I2', raw, at)
    local key
    if string.sub(raw, first + 4, first + 11) == '{"key":"' then
      local stop = string.find(raw, '"', first + 12, true)
      key = stop and string.sub(raw, first + 12, stop - 1) or ''
    end
    local sent, due, expires = struct.unpack('>I6I6I6', raw, 3)
    local level = math.max(0, math.min(9, 57 - string.byte(raw, 2)))
    local order = string.format('%d%012x', level, math.max(sent, due))
    return string.sub(raw, at + 2, first - 1), key, order, expires > 0 and expires <= now
  end

  local function task_of(gate)
    return string.sub(gate, (string.find(gate, '\t', 1, true) or 1) + 1)
  end

  -- The names of a task's gates for a key, the key's first.
  local function names_of(task, key, spec)
    local names = {}
    if spec.per_key and key ~= '' then names[1] = 'k' .. key .. '\t' .. task end
    if spec.max then names[#names + 1] = 'c' .. task end
    if spec.rate then names[#names + 1] = 'r' .. task end
    return names
  end

  -- Read the gates among the names that are not known yet.
  local function meet(Q, names)
    local unknown, fields = {}, {}
    for _, name in ipairs(names) do
      if known[name] == nil then
        known[name], unknown[#unknown + 1] = false, name
        local is_rate = string.byte(name) == 114
        fields[#fields + 1] = (is_rate and 't' or 'n') .. name
        fields[#fields + 1] = 'q' .. name
      end
    end
    if #fields == 0 then return end
    local found = redis.call('HMGET', gates, unpack(fields))
    for i, name in ipairs(unknown) do
      local kind, task = string.sub(name, 1, 1), task_of(name)
      local spec, kept = spec_of(task), found[2 * i - 1]
      if kind == 'r' then
        known[name] = rate_gate(spec.rate, kept, now)
      else
        local used = tonumber(kept or '0')
        local room = (kind == 'c' and spec.max or spec.per_key) - used
        known[name] = {used = used, room = room, may = share_of(room, idle), taken = 0, queues = found[2 * i] or ''}
      end
      known[name].name, known[name].heads = name, {}
    end
  end

  -- Whether messages of the queue wait at a gate with this order or an earlier one.
  local function is_behind(Q, gate, order)
    local head = gate.heads[Q.name]
    if head == nil then
      local waits = gate.queues and gate.queues ~= '' or redis.call('ZSCORE', Q.retry, gate.name)
      local first = waits and redis.call('ZRANGEBYLEX', Q.line, '[' .. gate.name .. '\n',
        '(' .. gate.name .. '\v', 'LIMIT', 0, 1)[1]
      head = first and string.sub(first, #gate.name + 2) or false
      gate.heads[Q.name] = head
    end
    return head and head <= order
  end

  -- The first of the gates that has no room, nil if all have; then they are taken.
  local function take_all(Q, names, order)
    for _, name in ipairs(names) do
      local gate = known[name]
      if gate.taken >= gate.may or (order and is_behind(Q, gate, order)) then return gate end
    end
    for _, name in ipairs(names) do known[name].taken = known[name].taken + 1 end
    return nil
  end

  local function hold(id, names)
    local slots = {}
    for _, name in ipairs(names) do
      if string.byte(name) ~= 114 then slots[#slots + 1] = name end
    end
    if #slots > 0 then slots_of[id] = '\n' .. table.concat(slots, '\n') end
  end

  local function turns_of(Q, task)
    local fair = Q.fair[task]
    if not fair then
      local kept = redis.call('HMGET', Q.stats, 'class:' .. task, 'turn:' .. task)
      if not kept[1] then
        kept[1] = redis.call('HINCRBY', Q.stats, 'classes', 1) % CLASSES
        redis.call('HSET', Q.stats, 'class:' .. task, kept[1])
      end
      fair = {task = task, first = tonumber(kept[1]) * CLASS, turn = tonumber(kept[2] or '0')}
      Q.fair[task] = fair
      Q.tasks[#Q.tasks + 1] = fair
    end
    return fair
  end

  -- Give a line a turn: behind those that wait for theirs; one that waits keeps it, and may come
  -- into a better level.
  local function give_turn(Q, fair, line, order)
    local level, turn = tonumber(string.sub(order, 1, 1)), fair.turn + 1
    local has = redis.call('ZSCORE', Q.turns, line)
    if has then turn = (tonumber(has) - fair.first) % LEVEL end
    redis.call('ZADD', Q.turns, 'LT', fair.first + level * LEVEL + turn, line)
    redis.call('ZADD', Q.retry, 'NX', 0, 'F' .. fair.task)
  end

  -- Set messages aside: {id, gate, order} each; those of fair tasks with `fair` besides.
  local function set_aside(Q, waiting)
    if #waiting == 0 then return end
    local last, blocked, members = redis.call('HINCRBY', Q.stats, 'blocks', #waiting), {}, {}
    local lines, orders = {}, {}
    for i, each in ipairs(waiting) do
      local id, gate, order, fair = unpack(each)
      if #order < ORDER then order = string.format('%s%011x', order, last - #waiting + i) end
      blocked[2 * i - 1], blocked[2 * i] = id, gate .. '\n' .. order
      members[2 * i - 1], members[2 * i] = 0, gate .. '\n' .. order .. '\n' .. id
      if not fair then Q.touched[gate] = true
      elseif not orders[gate] or order < orders[gate] then
        if not orders[gate] then lines[#lines + 1] = {gate, fair} end
        orders[gate] = order
      end
    end
    for i = 1, #blocked, 2000 do
      local to = math.min(i + 1999, #blocked)
      redis.call('HSET', Q.blocked, unpack(blocked, i, to))
      redis.call('ZADD', Q.line, unpack(members, i, to))
    end
    for _, each in ipairs(lines) do
      -- One that waits for a slot gets its turn when there is one.
      if not redis.call('ZSCORE', Q.retry, each[1]) then
        give_turn(Q, each[2], each[1], orders[each[1]])
      end
    end
  end

  -- Of messages that were taken from the ready lists (raws: false where there is none), return the
  -- ids and bytes of those that may go; the others are set aside.
  function L.pass(Q, ids, raws)
    local heads, names, limited, kept, kept_raws = {}, {}, {}, {}, {}
    for i, raw in ipairs(raws) do
      local task, key, order, is_over = head_of(raw or '')
      local spec = task and not is_over and spec_of(task)
      if spec and spec.keyed and not key then spec = nil end
      key = key or ''
      if spec and (next(spec) or was[ids[i]]) then
        heads[i] = {task, key, was[ids[i]] or order, names_of(task, key, spec), spec.fair}
        limited[#limited + 1] = ids[i]
        for _, name in ipairs(heads[i][4]) do names[#names + 1] = name end
      end
    end
    if #limited == 0 then return ids, raws end
    local freed, before = let_go(holds, gates, limited, {}), {}  -- of runs that were lost
    for gate in pairs(freed) do
      if known[gate] then
        before[gate], known[gate] = known[gate].taken, nil
        names[#names + 1] = gate
      end
    end
    meet(Q, names)
    for gate, taken in pairs(before) do known[gate].taken = taken end
    local waiting = {}
    for i, id in ipairs(ids) do
      local task, key, order, gates_of, is_fair = unpack(heads[i] or {})
      local gate = nil
      if is_fair then
        waiting[#waiting + 1] = {id, 'k' .. key .. '\t' .. task, order, turns_of(Q, task)}
      elseif gates_of then
        gate = take_all(Q, gates_of, not was[id] and order)
        if gate then waiting[#waiting + 1] = {id, gate.name, order} else hold(id, gates_of) end
      end
      if not (is_fair or gate) then kept[#kept + 1], kept_raws[#kept_raws + 1] = id, raws[i] end
    end
    set_aside(Q, waiting)
    return kept, kept_raws
  end

  -- Take the first n members of a line out of it: ids and orders.
  local function leave(Q, gate, n)
    local members, ids, orders = redis.call('ZRANGEBYLEX', Q.line, '[' .. gate .. '\n',
      '(' .. gate .. '\v', 'LIMIT', 0, n), {}, {}
    for i, member in ipairs(members) do
      orders[i] = string.sub(member, #gate + 2, #gate + 1 + ORDER)
      ids[i] = string.sub(member, #gate + 3 + ORDER)
    end
    if #ids > 0 then
      redis.call('ZREM', Q.line, unpack(members))
      redis.call('HDEL', Q.blocked, unpack(ids))
    end
    return ids, orders
  end

  -- Make ready, before all others, up to n messages whose gates may be tried now.
  function L.reopen(Q, n)
    Q.touched, Q.fair, Q.tasks = {}, {}, {}
    if redis.call('EXISTS', Q.retry) == 0 then return end
    local due = redis.call('ZRANGEBYSCORE', Q.retry, '-inf', now, 'LIMIT', 0, 100)
    Q.has_more = #due == 100
    for _, gate in ipairs(due) do
      local kind, task = string.sub(gate, 1, 1), task_of(gate)
      local spec = spec_of(task)
      if kind == 'F' then
        turns_of(Q, task)
      elseif kind == 'k' and spec.fair then
        redis.call('ZREM', Q.retry, gate)
        note_waiting(gates, gate, Q.name, false)
        local first = redis.call('ZRANGEBYLEX', Q.line, '[' .. gate .. '\n', '(' .. gate .. '\v',
          'LIMIT', 0, 1)[1]
        if first then give_turn(Q, turns_of(Q, task), gate, string.sub(first, #gate + 2)) end
      elseif n > 0 then
        local may = n
        if kind == 'r' and spec.rate or kind == 'c' and spec.max or kind == 'k' and spec.per_key then
          meet(Q, {gate})
          may = math.min(n, known[gate].may)
        end
        local ids, orders = leave(Q, gate, math.max(0, may))
        for i = #ids, 1, -1 do
          was[ids[i]] = orders[i]
          redis.call('LPUSH', Q.ready[tonumber(string.sub(orders[i], 1, 1)) + 1], ids[i])
        end
        n, Q.touched[gate] = n - #ids, true
      else
        Q.has_more = true
      end
    end
  end

  -- How many of n messages are for those who take turns: all if they are of a better level than what
  -- is ready, half if of the same.
  function L.share(Q, n)
    if #Q.tasks == 0 then return 0 end
    local best, level = 10, 0
    while level < 10 and redis.call('EXISTS', Q.ready[level + 1]) == 0 do level = level + 1 end
    for _, fair in ipairs(Q.tasks) do
      local first = redis.call('ZRANGEBYSCORE', Q.turns, fair.first, '(' .. fair.first + CLASS,
        'WITHSCORES', 'LIMIT', 0, 1)[2]
      if first then best = math.min(best, math.floor((tonumber(first) - fair.first) / LEVEL)) end
    end
    if best > level or best == 10 then return 0 end
    return best < level and n or math.floor((n + spin % 2) / 2)
  end

  -- The next message of a task whose keys take turns: id, bytes; nil when there is none to be had,
  -- false when this turn came to nothing.
  local function next_of(Q, fair)
    local spec = spec_of(fair.task)
    local names = names_of(fair.task, '', spec)
    meet(Q, names)
    for _, name in ipairs(names) do
      if known[name].taken >= known[name].may then
        fair.gate = known[name]
        return nil
      end
    end
    local found = redis.call('ZRANGEBYSCORE', Q.turns, fair.first, '(' .. fair.first + CLASS,
      'WITHSCORES', 'LIMIT', 0, 1)
    local line = found[1]
    if not line then return nil end
    local key, task = string.match(line, '^k([^\t]*)\t(.*)$')
    if task ~= fair.task then spec = spec_of(task) end
    names = names_of(task, key, spec)
    meet(Q, names)
    local gate = take_all(Q, names, nil)
    if gate then
      redis.call('ZREM', Q.turns, line)
      -- It waits for a slot of its key; of another task of its class, for a turn in that.
      if gate.name == line then Q.touched[line] = true
      else redis.call('ZADD', Q.retry, now + AGAIN_MS, line) end
      return false
    end
    local ids = leave(Q, line, 1)
    local after = redis.call('ZRANGEBYLEX', Q.line, '[' .. line .. '\n', '(' .. line .. '\v',
      'LIMIT', 0, 1)[1]
    local level = math.floor((tonumber(found[2]) - fair.first) / LEVEL)
    fair.turn = math.max(fair.turn, tonumber(found[2]) - fair.first - level * LEVEL)
    fair.has_news = true
    if after then
      level = tonumber(string.sub(after, #line + 2, #line + 2))
      redis.call('ZADD', Q.turns, fair.first + level * LEVEL + fair.turn + 1, line)
    else
      redis.call('ZREM', Q.turns, line)
    end
    local raw = ids[1] and redis.call('HGET', messages, ids[1])
    local is_over = raw and select(4, head_of(raw))
    if is_over or not raw then
      for _, name in ipairs(names) do known[name].taken = known[name].taken - 1 end
    end
    if not raw then return false end
    if not is_over then hold(ids[1], names) end
    return ids[1], raw
  end

  -- Let keys take turns until n messages or so many bytes are found; returns how many of both.
  function L.serve(Q, n, bytes, ids, raws)
    local got, size, i, misses = 0, 0, spin % math.max(1, #Q.tasks) + 1, 0
    while got < n and (size < bytes or got == 0) and #Q.tasks > 0 and misses < 500 do
      if i > #Q.tasks then i = 1 end
      local id, raw = next_of(Q, Q.tasks[i])
      if id then
        ids[#ids + 1], raws[#raws + 1], got, size, i = id, raw, got + 1, size + #raw, i + 1
      elseif id == nil then
        table.remove(Q.tasks, i)
      else
        misses = misses + 1
      end
    end
    return got, size
  end

  -- Note who holds what of a grant.
  function L.note(Q, ids, token)
    local fields = {}
    for _, id in ipairs(ids) do
      if slots_of[id] then
        fields[#fields + 1], fields[#fields + 2] = id, token .. '\n' .. Q.name .. slots_of[id]
      end
    end
    for i = 1, #fields, 2000 do
      redis.call('HSET', holds, unpack(fields, i, math.min(i + 1999, #fields)))
    end
  end

  -- Whether any of these messages holds a slot.
  function L.has_slots(ids)
    for _, id in ipairs(ids) do
      if slots_of[id] then return true end
    end
    return false
  end

  -- Keep what was taken of all gates.
  function L.save()
    local fields = {}
    for name, gate in pairs(known) do
      if gate and gate.taken > 0 then
        fields[#fields + 1] = (gate.spacing and 't' or 'n') .. name
        fields[#fields + 1] = gate.spacing and kept_rate(gate) or gate.used + gate.taken
      end
    end
    for i = 1, #fields, 2000 do
      redis.call('HSET', gates, unpack(fields, i, math.min(i + 1999, #fields)))
    end
  end

  -- When the gate may be tried again that somebody waits for.
  local function time_of(Q, gate)
    if not gate or gate.taken < gate.may then return 0 end
    if gate.spacing then return next_token(gate) end
    if gate.taken >= gate.room then return '+inf' end
    Q.nudges = true  -- there is room, and no lane here that could use it at once
    return gate.taken > 0 and 0 or now + AGAIN_MS
  end

  -- Note for each gate at which messages were looked at when they may be tried again.
  -- Returns the time of the first, and whether another worker should look.
  function L.finish(Q)
    for name in pairs(Q.touched) do
      local gate = known[name]
      local waits = redis.call('ZRANGEBYLEX', Q.line, '[' .. name .. '\n', '(' .. name .. '\v',
        'LIMIT', 0, 1)[1]
      if waits then redis.call('ZADD', Q.retry, time_of(Q, gate), name)
      else redis.call('ZREM', Q.retry, name) end
      if string.byte(name) ~= 114 then note_waiting(gates, name, Q.name, waits) end
    end
    for task, fair in pairs(Q.fair) do
      if fair.has_news then redis.call('HSET', Q.stats, 'turn:' .. task, fair.turn) end
      local waits = redis.call('ZRANGEBYSCORE', Q.turns, fair.first, '(' .. fair.first + CLASS,
        'LIMIT', 0, 1)[1]
      if not waits then redis.call('ZREM', Q.retry, 'F' .. task)
      else redis.call('ZADD', Q.retry, fair.gate and time_of(Q, fair.gate) or 0, 'F' .. task) end
      if fair.gate and not fair.gate.spacing then
        note_waiting(gates, fair.gate.name, Q.name, waits)
      end
    end
    local first = redis.call('ZRANGEBYSCORE', Q.retry, '(' .. now, '(+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
    return Q.has_more and now or tonumber(first), Q.nudges
  end

  return L
end
