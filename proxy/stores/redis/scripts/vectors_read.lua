-- What vectors are good for. ARGV[2]: the epoch; [3]: their space; then their numbers.
-- Replies: number, id and payload of each that is there.

local found = {}
if life() ~= ARGV[2] then return found end
for at = 4, #ARGV do
  local text = redis.call('HGET', kept, ARGV[at])
  if text then
    local id, space, _, payload = unpack(cmsgpack.unpack(text))
    if space == ARGV[3] then found[#found + 1] = {ARGV[at], id, payload} end
  end
end
return found
