-- Take from all buckets or from none. ARGV[2]: the takes.
-- Replies: -1 and the levels of all; or the index of the one that has too little for longest, and
-- its level.

local takes = cjson.decode(ARGV[2])
local now = seconds()
local levels, short, longest, short_level = {}, -1, -1, 0
for n, take in ipairs(takes) do
  local level = levels[take[1]] or level_of(take, now)
  levels[take[1]] = level + take[4]
  local over = level + take[4] - take[2]
  if over > 1e-6 + 1e-9 * take[2] then  -- what drains is a hair off
    local wait = take[4] <= take[2] and over * take[3] / take[2] or math.huge
    if wait > longest then
      short, longest, short_level = n - 1, wait, level
    end
  end
end
if short >= 0 then
  return '[' .. short .. ',' .. string.format('%.17g', short_level) .. ']'
end
local words = {'-1'}
for n, take in ipairs(takes) do
  keep(take, levels[take[1]], now)
  words[n + 1] = string.format('%.17g', levels[take[1]])
end
return '[' .. table.concat(words, ',') .. ']'
