-- runs_of(text): the runs of a schedule that have not ended, as far as it knows: {{nominal, id}, ..}.
local function runs_of(text)
  local found = {}
  for nominal, id in string.gmatch(text or '', '(%d+):([^,]+)') do found[#found + 1] = {nominal, id} end
  return found
end
