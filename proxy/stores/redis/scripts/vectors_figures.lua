-- How many vectors are kept, and about how many bytes they take.

local bytes = 0
for _, name in ipairs({entries, gone, kept, names, ends}) do
  bytes = bytes + (redis.call('MEMORY', 'USAGE', name, 'SAMPLES', 5) or 0)
end
return {redis.call('HLEN', kept), bytes}
