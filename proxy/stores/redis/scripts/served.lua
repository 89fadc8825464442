-- Count calls. ARGV[2]: by slot, what to add to its fields. ARGV[3]: the batch, counted once a day.

if not redis.call('SET', key('batch:' .. ARGV[3]), 1, 'NX', 'EX', 86400) then
  return 'OK'
end

for slot, sums in pairs(cjson.decode(ARGV[2])) do
  redis.call('ZADD', key('traffic'), slot, slot)
  for field, number in pairs(sums) do
    redis.call('HINCRBY', key('traffic:' .. slot), field, number)
  end
end
return 'OK'
