-- Records that changed. ARGV[2]: kind; [3]: after this version; [4]: at most so many.
-- Replies: ID RECORD ..., in the order of their versions.

local ids = redis.call('ZRANGEBYSCORE', key('changes:' .. ARGV[2]), '(' .. ARGV[3], '+inf',
  'LIMIT', 0, ARGV[4])
local replies = {}
for n, id in ipairs(ids) do
  replies[2 * n - 1] = id
  replies[2 * n] = redis.call('HGET', key('records:' .. ARGV[2]), id)
end
return replies
