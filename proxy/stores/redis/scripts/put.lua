-- Keep a record. ARGV[2]: kind; [3]: id; [4]: `=VALUE` or `-`; [5]: the version expected, or ''.
-- Replies: its version, 0 where it was not the one expected.

local name = key('records:' .. ARGV[2])
if ARGV[5] ~= '' then
  local old = redis.call('HGET', name, ARGV[3])
  local version = old and string.match(old, '^%d+') or '0'
  if version ~= ARGV[5] then return 0 end
end
local version = redis.call('INCR', key('version'))
redis.call('HSET', name, ARGV[3], whole(version) .. ' ' .. ARGV[4])
redis.call('ZADD', key('changes:' .. ARGV[2]), version, ARGV[3])
return version
