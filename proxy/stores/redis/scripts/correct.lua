-- Put more into a bucket than was taken from it, or less. ARGV[2]: the take; ARGV[3]: how much.

local take = cjson.decode(ARGV[2])
local now = seconds()
keep(take, math.max(0, level_of(take, now) + tonumber(ARGV[3])), now)
return 1
