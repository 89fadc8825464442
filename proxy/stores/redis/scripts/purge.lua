-- Forget some cached values. ARGV[2]: where to go on; [3]: how many to look at; [4]: the time before
-- which they were stored, or ''. Replies: where to go on, how many.

local cursor, names = some_names(ARGV[2], ARGV[3])
local before = tonumber(ARGV[4])
local gone = 0
for _, name in ipairs(names) do
  local stored_at = before and time_of(name)
  if not (stored_at and stored_at >= before) then
    local unlinked = redis.call('UNLINK', name)
    if not is_aside(name) then gone = gone + unlinked end
  end
end
return {cursor, gone}
