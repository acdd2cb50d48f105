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
-- is told by whoever frees a slot; and whether another worker should look.
local function close_queue(gate, stats, n, now)
  if gate.rate and n > 0 then
    gate.rate.taken = n
    redis.call('HSET', stats, 'tat', kept_rate(gate.rate))
  end
  if n < gate.may then return nil end
  if gate.rate and n >= gate.rate.may then return next_token(gate.rate) end
  if n < gate.room then return n == 0 and now + AGAIN_MS or nil, true end
  redis.call('HSET', stats, 'full', '1')
  return nil
end

-- limiter(now, messages, attempts, limits, holds, gates, idle, spin): `idle` as share_of takes it; `spin`
-- differs from fetch to fetch.
local function limiter(now, messages, attempts, limits, holds, gates, idle, spin)
  local ORDER, CLASS, LEVEL, CLASSES = 24, 2 ^ 44, 2 ^ 40, 500
  local specs, known, was, slots_of, L, NEVER = {}, {}, {}, {}, {}, string.rep('\0', 6)

  local kept_names = {}

  local function spec_of(task)
    if specs[task] == nil then
      local text = redis.call('HGET', limits, task)
      specs[task] = text and cjson.decode(text) or {}
    end
    return specs[task]
  end

  -- task, key (nil: not known) and whether it has expired, of a message; nil where it is damaged.
  local function head_of(raw)
    local at = 22 + (string.byte(raw, 21) or 0)
    if string.byte(raw) ~= 1 or #raw < at + 2 then return nil end
    local first = at + 2 + struct.unpack('>I2', raw, at)
    local key
    if string.sub(raw, first + 4, first + 11) == '{"key":"' then
      local stop = string.find(raw, '"', first + 12, true)
      key = stop and string.sub(raw, first + 12, stop - 1) or ''
    end
    local expires = string.sub(raw, 15, 20)
    local is_over = expires ~= NEVER and struct.unpack('>I6', expires) <= now
    return string.sub(raw, at + 2, first - 1), key, is_over
  end

  -- The place of a message in a line, without what tells those of one millisecond apart.
  local function order_of(raw)
    local sent, due = struct.unpack('>I6I6', raw, 3)
    local level = math.max(0, math.min(9, 57 - string.byte(raw, 2)))
    return string.format('%d%012x', level, math.max(sent, due))
  end

  local function task_of(gate)
    return string.sub(gate, (string.find(gate, '\t', 1, true) or 1) + 1)
  end

  -- The names of a task's gates for a key, the key's first; and the slots among them, as text.
  local function names_of(task, key, spec)
    local of_task = kept_names[task]
    if not of_task then
      of_task = {}
      kept_names[task] = of_task
    end
    if not spec.per_key then key = '' end
    local names = of_task[key]
    if not names then
      names = {slots = ''}
      if key ~= '' then names[1] = 'k' .. key .. '\t' .. task end
      if spec.max then names[#names + 1] = 'c' .. task end
      if #names > 0 then names.slots = '\n' .. table.concat(names, '\n') end
      if spec.rate then names[#names + 1] = 'r' .. task end
      of_task[key] = names
    end
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

  -- Whether messages of the queue wait at a gate before this one.
  local function is_behind(Q, gate, raw)
    local head = gate.heads[Q.name]
    if head == nil then
      local waits = gate.queues and gate.queues ~= '' or redis.call('ZSCORE', Q.retry, gate.name)
      local first = waits and redis.call('ZRANGEBYLEX', Q.line, '[' .. gate.name .. '\n',
        '(' .. gate.name .. '\v', 'LIMIT', 0, 1)[1]
      head = first and string.sub(first, #gate.name + 2) or false
      gate.heads[Q.name] = head
    end
    return head and head <= order_of(raw)
  end

  -- The first of the gates that has no room, nil if all have; then they are taken.
  local function take_all(Q, names, raw)
    for _, name in ipairs(names) do
      local gate = known[name]
      if gate.taken >= gate.may or (raw and is_behind(Q, gate, raw)) then return gate end
    end
    for _, name in ipairs(names) do known[name].taken = known[name].taken + 1 end
    return nil
  end

  local function hold(id, names)
    if names.slots ~= '' then slots_of[id] = names.slots end
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

  -- Give lines {line, fair, order} a turn: behind those that wait for theirs; one that waits keeps it,
  -- and may come into a better level. One that waits for a slot gets its turn when there is one.
  local function give_turns(Q, lines)
    local names, scores, tasks = {}, {}, {}
    for i, each in ipairs(lines) do names[i] = each[1] end
    for first = 1, #names, 1000 do
      local last = math.min(first + 999, #names)
      local has = redis.call('ZMSCORE', Q.turns, unpack(names, first, last))
      local waits = redis.call('ZMSCORE', Q.retry, unpack(names, first, last))
      for i = first, last do
        local line, fair, order = unpack(lines[i])
        local level, turn, at = tonumber(string.sub(order, 1, 1)), fair.turn + 1, has[i - first + 1]
        if at then turn = (tonumber(at) - fair.first) % LEVEL end
        if not waits[i - first + 1] then
          scores[#scores + 1], scores[#scores + 2] = fair.first + level * LEVEL + turn, line
          tasks[fair.task] = true
        end
      end
    end
    for i = 1, #scores, 2000 do
      redis.call('ZADD', Q.turns, 'LT', unpack(scores, i, math.min(i + 1999, #scores)))
    end
    for task in pairs(tasks) do redis.call('ZADD', Q.retry, 'NX', 0, 'F' .. task) end
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
    keep(Q.blocked, blocked)
    for i = 1, #members, 2000 do
      redis.call('ZADD', Q.line, unpack(members, i, math.min(i + 1999, #members)))
    end
    for _, each in ipairs(lines) do each[3] = orders[each[1]] end
    give_turns(Q, lines)
  end

  -- Of messages that were taken from the ready lists (raws: false where there is none), return the
  -- ids and bytes of those that may go; the others are set aside.
  function L.pass(Q, ids, raws)
    local heads, names, limited, kept, kept_raws = {}, {}, {}, {}, {}
    local lines = {}
    for i, raw in ipairs(raws) do
      local task, key, is_over = head_of(raw or '')
      local spec = task and not is_over and spec_of(task)
      if spec and next(spec) and (key or not spec.keyed) then
        limited[#limited + 1] = ids[i]
        if spec.fair then
          lines[i], heads[i] = 'k' .. (key or '') .. '\t' .. task, task
        else
          heads[i] = names_of(task, key or '', spec)
          for _, name in ipairs(heads[i]) do names[#names + 1] = name end
        end
      end
    end
    if #limited == 0 then return ids, raws end
    local before = {}
    if redis.call('HLEN', attempts) > 0 then  -- of runs that were lost
      for gate in pairs(let_go(holds, gates, limited, {})) do
        if known[gate] then
          before[gate], known[gate] = known[gate].taken, nil
          names[#names + 1] = gate
        end
      end
    end
    meet(Q, names)
    for gate, taken in pairs(before) do known[gate].taken = taken end
    local waiting = {}
    for i, id in ipairs(ids) do
      local line, gate = lines[i], nil
      if line then
        waiting[#waiting + 1] = {id, line, was[id] or order_of(raws[i]), turns_of(Q, heads[i])}
      elseif heads[i] then
        gate = take_all(Q, heads[i], not was[id] and raws[i])
        if gate then waiting[#waiting + 1] = {id, gate.name, was[id] or order_of(raws[i])}
        else hold(id, heads[i]) end
      end
      if not (line or gate) then kept[#kept + 1], kept_raws[#kept_raws + 1] = id, raws[i] end
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
        if first then give_turns(Q, {{gate, turns_of(Q, task), string.sub(first, #gate + 2)}}) end
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

  -- Whether all gates of a fair task have room; else it is noted which has not.
  local function is_open(fair)
    local names = names_of(fair.task, '', spec_of(fair.task))
    meet(nil, names)
    for _, name in ipairs(names) do
      if known[name].taken >= known[name].may then
        fair.gate = known[name]
        return false
      end
    end
    return true
  end

  -- How many of n messages are for those who take turns: all if they are of a better level than what
  -- is ready, half if of the same.
  function L.share(Q, n)
    if #Q.tasks == 0 then return 0 end
    local best, level = 10, 0
    while level < 10 and redis.call('EXISTS', Q.ready[level + 1]) == 0 do level = level + 1 end
    for _, fair in ipairs(Q.tasks) do
      local first = is_open(fair) and redis.call('ZRANGEBYSCORE', Q.turns, fair.first, '(' .. fair.first + CLASS,
        'WITHSCORES', 'LIMIT', 0, 1)[2]
      if first then best = math.min(best, math.floor((tonumber(first) - fair.first) / LEVEL)) end
    end
    if best > level or best == 10 then return 0 end
    return best < level and n or math.floor((n + spin % 2) / 2)
  end

  -- The lines whose turn it is, all of one level and turn: names, score; nil when there is none.
  local function round_of(Q, fair, n)
    local first = redis.call('ZRANGEBYSCORE', Q.turns, fair.first, '(' .. fair.first + CLASS,
      'WITHSCORES', 'LIMIT', 0, 2)
    if not first[1] then return nil end
    if first[2] ~= first[4] then return {first[1]}, tonumber(first[2]) end
    return redis.call('ZRANGEBYSCORE', Q.turns, first[2], first[2], 'LIMIT', 0, n), tonumber(first[2])
  end

  -- One round: each line gives its first message, if its gates have room. Returns the number of
  -- lines that had their turn, and ids, members of the line and names of gates of what was taken.
  local function play(Q, fair, n)
    local lines, score = round_of(Q, fair, n)
    local left, ids, members, names = {}, {}, {}, {}
    if not lines then return 0, ids, members, names end
    local level = math.floor((score - fair.first) / LEVEL)
    fair.turn = math.max(fair.turn, score - fair.first - level * LEVEL)
    local all, gates_of, scores = {}, {}, {}
    for i, line in ipairs(lines) do
      local at = string.find(line, '\t', 1, true)
      local task = string.sub(line, at + 1)
      gates_of[i] = names_of(task, string.sub(line, 2, at - 1), spec_of(task))
      for _, name in ipairs(gates_of[i]) do all[#all + 1] = name end
    end
    meet(Q, all)
    local turned = 0
    for i, line in ipairs(lines) do
      if not is_open(fair) then break end
      turned = turned + 1
      local gate = take_all(Q, gates_of[i], nil)
      if gate then
        left[#left + 1] = line
        -- It waits for a slot of its key; of another task of its class, for a turn in that.
        if gate.name == line then Q.touched[line] = true
        else redis.call('ZADD', Q.retry, now + AGAIN_MS, line) end
      else
        local found = redis.call('ZRANGEBYLEX', Q.line, '[' .. line .. '\n', '(' .. line .. '\v',
          'LIMIT', 0, 2)
        if found[1] then
          ids[#ids + 1], members[#members + 1] = string.sub(found[1], #line + 3 + ORDER), found[1]
          names[#names + 1] = gates_of[i]
        else
          for _, name in ipairs(gates_of[i]) do known[name].taken = known[name].taken - 1 end
        end
        if found[2] then
          level = tonumber(string.sub(found[2], #line + 2, #line + 2))
          scores[#scores + 1] = fair.first + level * LEVEL + fair.turn + 1
          scores[#scores + 1] = line
        else
          left[#left + 1] = line
        end
      end
    end
    if #left > 0 then redis.call('ZREM', Q.turns, unpack(left)) end
    if #scores > 0 then redis.call('ZADD', Q.turns, unpack(scores)) end
    fair.has_news = fair.has_news or turned > 0
    return turned, ids, members, names
  end

  -- Let keys of one task take turns until n messages or so many bytes are found.
  local function serve_task(Q, fair, n, bytes, ids, raws)
    local got, size, rounds = 0, 0, 0
    while got < n and (size < bytes or got == 0) and rounds < 500 and is_open(fair) do
      -- The first few show how large the bodies are.
      local most = got == 0 and 8 or math.max(1, math.floor((bytes - size) * got / (size + 1)))
      local turned, taken, members, names = play(Q, fair, math.min(n - got, most, 1000))
      rounds = rounds + 1
      if turned == 0 then break end
      if #taken > 0 then
        redis.call('ZREM', Q.line, unpack(members))
        redis.call('HDEL', Q.blocked, unpack(taken))
        for i, raw in ipairs(redis.call('HMGET', messages, unpack(taken))) do
          local is_over = raw and select(3, head_of(raw))
          if is_over or not raw then
            for _, name in ipairs(names[i]) do known[name].taken = known[name].taken - 1 end
          else
            hold(taken[i], names[i])
          end
          if raw then
            ids[#ids + 1], raws[#raws + 1], got, size = taken[i], raw, got + 1, size + #raw
          end
        end
      end
    end
    return got, size
  end

  -- Let keys take turns until n messages or so many bytes are found; returns how many of both.
  function L.serve(Q, n, bytes, ids, raws)
    local got, size, count = 0, 0, #Q.tasks
    for pass = 1, 2 do
      for i = 1, count do
        local fair = Q.tasks[(i + spin) % count + 1]
        local share = pass == 1 and math.ceil(n / count) or n
        if got < n and (size < bytes or got == 0) then
          local more, much = serve_task(Q, fair, math.min(share, n - got), bytes - size, ids, raws)
          got, size = got + more, size + much
        end
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
    keep(holds, fields)
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
    keep(gates, fields)
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
