-- The vectors of a space. ARGV[2]: its name; [3]: those after this number; [4]: at most so many.
-- Replies as `vectors_since`.

local epoch, known = life()
local last = numbers()
local found = {}
if known then
  local seqs = redis.call('ZRANGEBYSCORE', space_name(known, ARGV[2]), '(' .. ARGV[3], '+inf',
    'LIMIT', 0, ARGV[4])
  for n, seq in ipairs(seqs) do
    found[n] = redis.call('XRANGE', entries, seq .. '-0', seq .. '-0')[1] or {seq .. '-0', {}}
  end
end
return {epoch, last, 0, redis.call('HLEN', kept), found, {}}
