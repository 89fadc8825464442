-- Promise money for a hold. ARGV[2]: id, amount, buckets (JSON in JSON), windows ({start, end or
-- false, limit or false} of each bucket), who, price, ttl_s.
-- Replies: WORD TIME N SETTLED RESERVED ..., where N is the bucket that denies, or 0.

local doc = cjson.decode(ARGV[2])
local now = seconds()

local function reply(word, n, sums)
  return word .. ' ' .. string.format('%.6f', now) .. ' ' .. n .. ' ' .. table.concat(sums, ' ')
end

local hold = find(doc.id)
if hold.state == 'O' then
  return reply('granted', 0, balances(cjson.decode(hold.buckets)))
end
local ids = cjson.decode(doc.buckets)
local sums = balances(ids)
if hold.state then
  return reply('denied', 0, {sums[1], sums[2]})
end
for _, window in ipairs(doc.windows) do
  if now < window[1] or (window[2] and now >= window[2]) then
    return reply('moved', 0, {})
  end
end
for n, window in ipairs(doc.windows) do
  local settled, reserved = sums[2 * n - 1], sums[2 * n]
  -- Each step is exact: all numbers that matter are below 2^53.
  if window[3] and window[3] - tonumber(settled) - tonumber(reserved) < tonumber(doc.amount) then
    return reply('denied', n - 1, {settled, reserved})
  end
end

doc.slot = slot_of(now)
redis.call('HSET', key('hold:' .. doc.id), 'amount', doc.amount, 'buckets', doc.buckets,
  'slot', doc.slot, 'who', doc.who, 'price', doc.price)
redis.call('ZADD', key('open'), string.format('%.6f', now + doc.ttl_s), doc.id)
shift(doc, '0', doc.amount)
enter(doc, 'R', doc.amount, '', now)
return reply('granted', 0, balances(ids))
