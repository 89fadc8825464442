-- Give back what closed holds were charged. ARGV[2]: a hold's id, or a call's; ARGV[3]: why.
-- Replies: ID AMOUNT ...

local now = seconds()
local ids = {}
if find(ARGV[2]).state then
  ids = {ARGV[2]}
else
  for _, n in ipairs(redis.call('HKEYS', key('closed:' .. ARGV[2]))) do
    ids[#ids + 1] = ARGV[2] .. '.' .. n
  end
end
local replies = {}
for _, id in ipairs(ids) do
  local hold = find(id)
  if hold.state ~= 'O' then
    local back = hold.charged
    if back ~= '0' then
      shift(hold, minus(back), '0')
      local row = enter(hold, 'F', minus(back), ARGV[3], now)
      tally(hold, {a = minus(back), r = back})
      close(hold, 'F', row, '0', '0')
    end
    replies[#replies + 1] = id
    replies[#replies + 1] = back
  end
end
return replies
