-- head_of(raw): the bytes of a message without its body, nil where they are damaged.
local function head_of(raw)
  local task_at = 22 + (string.byte(raw, 21) or 0)
  if #raw < task_at + 1 then return nil end
  local headers_at = task_at + 2 + struct.unpack('>I2', raw, task_at)
  if #raw < headers_at + 3 then return nil end
  return string.sub(raw, 1, headers_at + 3 + struct.unpack('>I4', raw, headers_at))
end
