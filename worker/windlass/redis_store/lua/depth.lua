-- How much is where in one queue, as of now, with or without a worker alive.
-- KEYS[1] messages  HASH id -> bytes
-- KEYS[2] leased    HASH id -> token
-- KEYS[3] leases    ZSET token by deadline
-- KEYS[4] left      HASH token -> unsettled
-- KEYS[5] scheduled ZSET priority digit + id by due time
-- KEYS[6] record    HASH queue record
-- KEYS[7] stats     HASH counters
-- KEYS[8] parked    HASH id -> when, ms, and task name
-- KEYS[9] dead      ZSET dead letters
-- KEYS[10] condemned SET revoked ids in the ready lists
-- KEYS[11..20] r9 .. r0 LIST ids
-- KEYS[21] beat     ZSET schedule that sends here by the time of its next fire, ms
-- KEYS[22] blocked  HASH id -> gate at which it waits, place
-- KEYS[23] retry    ZSET gate by the time at which what waits there may be tried, ms
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] horizon   ms: scheduled messages due within it are counted apart
-- Returns: {open, parked, scheduled, next_due, leased, dead, oldest_ms, enqueued, completed,
--           service_us, paused 0|1, now, due within the horizon, blocked}.
-- Invariants: reads only; due scheduled messages and expired leases count as open, and so does one
--          message for each gate that may be tried now: else a pool at zero slept for ever. A schedule
--          whose fire is to come counts as due then, though no message is there yet; one that nobody
--          has fired for a minute does not count.
-- Complexity: O(log scheduled + expired grants).
-- @include clock
local messages, leased, leases, left, scheduled = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local record, stats, parked, dead, condemned = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local beat, blocked, retry, UNFIRED = KEYS[21], KEYS[22], KEYS[23], 60000
local now, horizon, FIRST_READY = clock(ARGV[1]), tonumber(ARGV[2]), 11
local ready, since = -redis.call('SCARD', condemned), now

for level = 0, 9 do
  local list = KEYS[FIRST_READY + level]
  local length = redis.call('LLEN', list)
  if length > 0 then
    ready = ready + length
    local raw = redis.call('HGET', messages, redis.call('LINDEX', list, 0))
    if raw and #raw >= 14 then
      since = math.min(since, math.max(struct.unpack('>I6', raw, 3), (struct.unpack('>I6', raw, 9))))
    end
  end
end
local due = redis.call('ZCOUNT', scheduled, '-inf', now)
local expired = 0
for _, token in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1000)) do
  expired = expired + tonumber(redis.call('HGET', left, token) or '0')
end
local head = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
if due > 0 then since = math.min(since, tonumber(head)) end
local next_due = tonumber(redis.call('ZRANGE', scheduled, due, due, 'WITHSCORES')[2] or '0')
local next_fire = redis.call('ZRANGEBYSCORE', beat, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
if next_fire and (next_due == 0 or tonumber(next_fire) < next_due) then next_due = tonumber(next_fire) end
-- What was blocked and may be tried, or may be within the horizon.
local held = redis.call('HLEN', blocked)
local may, may_soon = 0, 0
if held > 0 then
  may = math.min(held, redis.call('ZCOUNT', retry, '-inf', now))
  may_soon = math.min(held - may, redis.call('ZCOUNT', retry, '(' .. now, now + horizon))
  local next_try = redis.call('ZRANGEBYSCORE', retry, '(' .. now, '(inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if next_try and (next_due == 0 or tonumber(next_try) < next_due) then next_due = math.ceil(tonumber(next_try)) end
end
local counters = redis.call('HMGET', stats, 'enqueued', 'completed', 'service_us')
return {
  ready + due + expired + may, redis.call('HLEN', parked), redis.call('ZCARD', scheduled) - due,
  next_due, redis.call('HLEN', leased) - expired, redis.call('ZCARD', dead),
  now - since, tonumber(counters[1] or '0'), tonumber(counters[2] or '0'),
  tonumber(counters[3] or '0'), redis.call('HGET', record, 'paused') == '1' and 1 or 0, now,
  redis.call('ZCOUNT', scheduled, '(' .. now, now + horizon)
    + redis.call('ZCOUNT', beat, '(' .. now - UNFIRED, now + horizon) + may_soon,
  held - may,
}
