-- Vectors that came and went. ARGV[2]: the epoch known, [3]: what came after this number, [4]: what
-- went after this one; [5]: at most so many of each.
-- Replies: epoch, last number, 1 if it is told from the beginning, where that begins, how many are
-- kept, and messages of both streams.

local epoch = life()
local last, forgotten = numbers()
local came, went, anew = ARGV[3], ARGV[4], 0
if epoch ~= ARGV[2] or tonumber(came) > tonumber(last) or tonumber(went) > tonumber(last)
  or tonumber(went) < tonumber(forgotten) then
  came, went, anew = '0', last, 1
end
return {epoch, last, anew, redis.call('HLEN', kept),
  redis.call('XRANGE', entries, after(came), '+', 'COUNT', ARGV[5]),
  redis.call('XRANGE', gone, after(went), '+', 'COUNT', ARGV[5])}
