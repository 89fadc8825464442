-- Forget many vectors. ARGV[2]: the time; [3]: their space, or '' for all; [4]: the time before which
-- they were stored, or ''; [5]: the number to go on after; [6]: how many to look at.
-- Replies: how many there were, the number to go on after, or '' at the end.

local epoch = epoch_now()
if not epoch then return {0, ''} end
local seqs = {}
if ARGV[3] ~= '' then
  seqs = redis.call('ZRANGEBYSCORE', space_name(epoch, ARGV[3]), '(' .. ARGV[5], '+inf',
    'LIMIT', 0, ARGV[6])
else
  for n, message in ipairs(redis.call('XRANGE', entries, after(ARGV[5]), '+', 'COUNT', ARGV[6])) do
    seqs[n] = string.match(message[1], '^%d+')
  end
end
local dropped = 0
for _, seq in ipairs(seqs) do
  local text = redis.call('HGET', kept, seq)
  local stored = text and tonumber(cmsgpack.unpack(text)[3])
  if stored and (ARGV[4] == '' or stored < tonumber(ARGV[4])) then
    dropped = dropped + forget(epoch, seq, ARGV[2])
  end
end
return {dropped, #seqs == tonumber(ARGV[6]) and seqs[#seqs] or ''}
