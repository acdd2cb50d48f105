-- Rates ("100/s", "30/m", "5/h"), as one number each: the time from which the next token is counted.
-- What has not been used for a while may come at once up to a tenth of a second's worth, one at least.

-- pace(text): ms between two tokens, and by how much one may be early.
local function pace(text)
  local count, unit = string.match(text, '^([%d.]+)/([smh])$')
  local spacing = (unit == 's' and 1000 or unit == 'm' and 60000 or 3600000) / tonumber(count)
  return spacing, math.max(0, math.floor(100 / spacing) - 1) * spacing
end

-- rate_gate(text, kept, now): how many tokens there are (may), of which none is taken yet.
-- A time further ahead than any use makes it is of another rate, or of a clock that went back.
local function rate_gate(text, kept, now)
  local spacing, early = pace(text)
  local from = math.max(now, math.min(tonumber(kept or '0'), now + early + spacing))
  local may = math.max(0, math.floor((now + early - from) / spacing + 1.000001))
  return {may = may, room = may, taken = 0, from = from, spacing = spacing, early = early}
end

-- next_token(gate): ms at which there is one again; of a gate of which all were taken.
local function next_token(gate)
  return math.ceil(gate.from + gate.taken * gate.spacing - gate.early)
end

-- kept_rate(gate): what is to be kept of it.
local function kept_rate(gate)
  return string.format('%.3f', gate.from + gate.taken * gate.spacing)
end
