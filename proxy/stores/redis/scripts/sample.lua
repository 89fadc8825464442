-- Look at some of all keys. ARGV[2]: where to go on; [3]: how many to look at.
-- Replies: where to go on, how many keys there are at all, and of cached values among those looked
-- at: how many, their bytes, and when the oldest was stored.

local cursor, names = some_names(ARGV[2], ARGV[3])
local entries, bytes, oldest = 0, 0, false
for _, name in ipairs(names) do
  if not is_aside(name) then entries = entries + 1 end
  bytes = bytes + redis.call('STRLEN', name)
  local stored_at = time_of(name)
  if stored_at and (not oldest or stored_at < oldest) then oldest = stored_at end
end
return {cursor, redis.call('DBSIZE'), entries, bytes, oldest and string.format('%.6f', oldest)}
