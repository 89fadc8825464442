-- Keep vectors. ARGV[2]: a new epoch, where there is none; [3]: the time; [4]: how many may be kept;
-- [5]: how long goings are told; then for each its space, id, vector, payload, and when it was stored
-- and is over. Replies 1, or 0 and nothing is kept: all the others never end.

local now, most = ARGV[3], tonumber(ARGV[4])
local epoch = begin(ARGV[2])
redis.call('HINCRBY', state, 'seq', 0) -- a full server refuses this, before anything was changed
for _, seq in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 500)) do
  forget(epoch, seq)
end

local endless = redis.call('HLEN', kept) - redis.call('ZCARD', ends)
for at = 6, #ARGV, 6 do
  local known = cmsgpack.unpack(redis.call('HGET', names, ARGV[at + 1]) or '\128')[ARGV[at]]
  if ARGV[at + 5] == 'inf' and not known then endless = endless + 1 end
end
if endless > most then return 0 end

for at = 6, #ARGV, 6 do
  local space, id, vector, payload, stored, over = unpack(ARGV, at, at + 5)
  local places = cmsgpack.unpack(redis.call('HGET', names, id) or '\128')
  if places[space] then
    forget(epoch, places[space], now)
    places = cmsgpack.unpack(redis.call('HGET', names, id) or '\128')
  end
  local seq = whole(redis.call('HINCRBY', state, 'seq', 1))
  places[space] = seq
  redis.call('HSET', names, id, cmsgpack.pack(places))
  redis.call('HSET', kept, seq, cmsgpack.pack({id, space, stored, payload}))
  redis.call('ZADD', space_name(epoch, space), seq, seq)
  if over ~= 'inf' then redis.call('ZADD', ends, over, seq) end
  redis.call('XADD', entries, seq .. '-0', 'space', space, 'over', over, 'vector', vector)
end

local beyond = redis.call('HLEN', kept) - most
if beyond > 0 then
  for _, seq in ipairs(redis.call('ZRANGE', ends, 0, beyond - 1)) do
    forget(epoch, seq, now)
  end
end

local told = tonumber(now) - tonumber(ARGV[5])
for _, message in ipairs(redis.call('XRANGE', gone, '-', '+', 'COUNT', 500)) do
  if tonumber(message[2][6]) >= told then break end
  redis.call('XDEL', gone, message[1])
  redis.call('HSET', state, 'forgotten', string.match(message[1], '^%d+'))
end
return 1
