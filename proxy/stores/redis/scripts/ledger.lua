-- Holds, rows, balances and what was spent, as all scripts of the ledger keep them.
--
--   hold:ID      hash   an open hold: amount, buckets, slot, who, price
--   open         zset   open holds by the time when they expire
--   closed:CALL  hash   N -> what became of hold CALL.N: STATE ROW CHARGED WASTED
--   buckets      hash   BUCKET|s settled, BUCKET|r reserved
--   seq, rows    the number of the last row; the rows as a stream, whose ids are N-0
--   spent:SLOT   hash   a letter for what is summed, then who
--   spent        zset   the slots that there are
--
-- States: O open, S settled, X released, E charged by the sweeper, F refunded. What more is to know
-- of a closed hold stands in its row. All amounts are texts: numbers here are doubles, so sums are
-- left to the server's own integers.

local KEPT_S = 30 * 86400
local SLOT_S = 900

-- A row; its number. `change` is what `settled` of its buckets changes by (of R and X: `reserved`).
local function enter(hold, kind, change, reason, now)
  local seq = whole(redis.call('INCR', key('seq')))
  redis.call('XADD', key('rows'), seq .. '-0', 'at', string.format('%.6f', now), 'hold', hold.id,
    'kind', kind, 'amount', change, 'buckets', hold.buckets, 'reason', reason,
    'price', hold.price, 'slot', hold.slot, 'who', hold.who)
  return seq
end

-- Change what all buckets of a hold hold.
local function shift(hold, settled, reserved)
  for _, id in ipairs(cjson.decode(hold.buckets)) do
    if settled ~= '0' then redis.call('HINCRBY', key('buckets'), id .. '|s', settled) end
    if reserved ~= '0' then redis.call('HINCRBY', key('buckets'), id .. '|r', reserved) end
  end
end

-- Both sums of each bucket, in one flat list.
local function balances(ids)
  if #ids == 0 then return {} end
  local fields = {}
  for _, id in ipairs(ids) do
    fields[#fields + 1] = id .. '|s'
    fields[#fields + 1] = id .. '|r'
  end
  local sums = redis.call('HMGET', key('buckets'), unpack(fields))
  for n = 1, #fields do sums[n] = sums[n] or '0' end
  return sums
end

-- Add to what was spent in the hold's slot: pairs of a letter and a number.
local function tally(hold, sums)
  local name = key('spent:' .. hold.slot)
  for letter, number in pairs(sums) do
    if number ~= '0' then
      -- The first of a slot brings it into the list.
      if redis.call('HINCRBY', name, letter .. hold.who, number) == tonumber(number) then
        redis.call('ZADD', key('spent'), hold.slot, hold.slot)
      end
    end
  end
end

-- CALL and N of a hold; N is empty where it has another form.
local function parts(id)
  local call, n = string.match(id, '^(.+)%.(%d+)$')
  return call or id, n or ''
end

local FIELDS = {'amount', 'buckets', 'slot', 'who', 'price'}

-- The hold, with what became of it; without a state where nobody knows it.
local function find(id)
  local hold = {id = id}
  for n, value in ipairs(redis.call('HMGET', key('hold:' .. id), unpack(FIELDS))) do
    hold[FIELDS[n]] = value or nil
  end
  if hold.amount then
    hold.state = 'O'
    return hold
  end
  local call, n = parts(id)
  local told = redis.call('HGET', key('closed:' .. call), n)
  if told then
    local row
    hold.state, row, hold.charged, hold.wasted = string.match(told, '^(%S+) (%S+) (%S+) (%S+)$')
    local entry = redis.call('XRANGE', key('rows'), row .. '-0', row .. '-0')[1]
    if entry then
      for at = 1, #entry[2], 2 do hold[entry[2][at]] = entry[2][at + 1] end
    else  -- somebody deleted it: no more can be done about it
      hold.state, hold.charged, hold.buckets = 'F', '0', '[]'
    end
    hold.amount = nil  -- the row's, which means something else
  end
  return hold
end

-- Keep what became of a hold for as long as somebody may ask for it.
local function close(hold, state, row, charged, wasted)
  local call, n = parts(hold.id)
  redis.call('DEL', key('hold:' .. hold.id))
  redis.call('ZREM', key('open'), hold.id)
  redis.call('HSET', key('closed:' .. call), n, table.concat({state, row, charged, wasted}, ' '))
  redis.call('EXPIRE', key('closed:' .. call), KEPT_S)
end

local function slot_of(now)
  return whole(now - now % SLOT_S)
end
