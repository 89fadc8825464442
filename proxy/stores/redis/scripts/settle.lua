-- Close a hold. ARGV[2]: the hold (id, amount, buckets, who, price) with its charge: kind (S or X),
-- charge, reason, listed, wasted, prompt, cached, completion.
-- Replies: TIME DUPLICATE OVERRUN SETTLED RESERVED ...

local doc = cjson.decode(ARGV[2])
local now = seconds()
local hold = find(doc.id)

local function less(a, b)
  return whole(tonumber(a) - tonumber(b))
end

local function reply(duplicate, overrun)
  local words = {string.format('%.6f', now), duplicate, overrun}
  for _, sum in ipairs(balances(cjson.decode(hold.buckets))) do words[#words + 1] = sum end
  return table.concat(words, ' ')
end

if hold.state and hold.state ~= 'O' and hold.state ~= 'E' then
  return reply(1, '0')
end

local sums = {a = doc.charge, l = doc.listed, w = doc.wasted, p = doc.prompt, c = doc.cached,
  o = doc.completion, n = doc.kind == 'S' and '1' or '0'}
local promised, row = hold.amount or '0', nil
if hold.state == 'E' then
  -- It was counted as a request, charged and wasted: make it what it truly was.
  promised = hold.charged
  sums.a, sums.w = less(doc.charge, hold.charged), less(doc.wasted, hold.wasted)
  sums.n = less(sums.n, 1)
  shift(hold, sums.a, '0')
  row = enter(hold, 'L', sums.a, doc.reason, now)
else
  if not hold.state then
    -- Never reserved here, or all was lost since: money that was spent is entered all the same.
    hold = {id = doc.id, buckets = doc.buckets, slot = slot_of(now), who = doc.who,
      price = doc.price}
  end
  shift(hold, doc.charge, minus(promised))
  local change = doc.kind == 'S' and doc.charge or minus(promised)
  row = enter(hold, doc.kind, change, doc.reason, now)
end
tally(hold, sums)
close(hold, doc.kind, row, doc.charge, doc.wasted)
if not hold.state then promised = doc.amount end
return reply(0, whole(math.max(0, tonumber(doc.charge) - tonumber(promised))))
