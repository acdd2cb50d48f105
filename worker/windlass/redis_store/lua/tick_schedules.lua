-- Take or keep the lead among tickers, and list the schedules that are due soon.
-- KEYS[1] lead      HASH   holder, until (ms)
-- KEYS[2] schedules ZSET   name by the time of its next fire, ms
-- KEYS[3] changes   STRING counts changes
-- ARGV[1] now_ms    ms, '' for the server's clock
-- ARGV[2] holder    who asks
-- ARGV[3] lead_ms   ms, how long the lead is taken for; 0 gives it up
-- ARGV[4] ahead_ms  ms, list what is due so soon
-- ARGV[5] limit     names
-- ARGV[6] channel   that tickers listen to: a lead that is given up is told there
-- Returns: {now, until when somebody leads, leads 0|1, changes, fire time of the first one that is
--           not listed (ms, 0: none), {name, fire_at, ..}}; a ticker that does not lead gets no names.
-- Invariants: touches no message. To lead saves work and decides nothing: any ticker may fire.
-- Complexity: O(log schedules + limit).
-- @include clock
local lead, schedules, changes = KEYS[1], KEYS[2], KEYS[3]
local now, holder, lead_ms = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local ahead_ms, limit, channel = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local kept = redis.call('HMGET', lead, 'holder', 'until')
local until_ms = tonumber(kept[2] or '0')
local leads = kept[1] == holder or until_ms <= now
if leads and lead_ms > 0 then
  until_ms = now + lead_ms
  redis.call('HSET', lead, 'holder', holder, 'until', until_ms)
elseif kept[1] == holder then
  redis.call('DEL', lead)
  redis.call('PUBLISH', channel, '')
  leads = false
end
local count = tonumber(redis.call('GET', changes) or '0')
if not leads then return {now, until_ms, 0, count, 0, {}} end
local due = redis.call('ZRANGEBYSCORE', schedules, '-inf', now + ahead_ms, 'WITHSCORES', 'LIMIT', 0, limit)
local at = #due / 2
local head = redis.call('ZRANGE', schedules, at, at, 'WITHSCORES')[2]
return {now, until_ms, 1, count, head and head ~= 'inf' and tonumber(head) or 0, due}
