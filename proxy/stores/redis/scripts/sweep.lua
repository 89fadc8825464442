-- Charge holds in full whose time is over. ARGV[2]: at most so many.
-- Replies: the time; then for each hold SETTLED RESERVED ... in one text.

local now = seconds()
local replies = {string.format('%.6f', now)}
local late = redis.call('ZRANGEBYSCORE', key('open'), '-inf', replies[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(late) do
  local hold = find(id)
  if hold.state == 'O' then
    shift(hold, hold.amount, minus(hold.amount))
    local row = enter(hold, 'E', hold.amount, 'expired', now)
    tally(hold, {a = hold.amount, w = hold.amount, n = '1'})
    close(hold, 'E', row, hold.amount, hold.amount)
    replies[#replies + 1] = table.concat(balances(cjson.decode(hold.buckets)), ' ')
  else
    redis.call('ZREM', key('open'), id)  -- somebody deleted it by hand: it must not block others
  end
end
return replies
