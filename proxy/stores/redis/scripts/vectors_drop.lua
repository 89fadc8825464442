-- Forget vectors. ARGV[2]: the time; [3]: their space, or '' for wherever they are; then their ids.
-- Replies how many there were.

local epoch = epoch_now()
local dropped = 0
if not epoch then return 0 end
for at = 4, #ARGV do
  local places = cmsgpack.unpack(redis.call('HGET', names, ARGV[at]) or '\128')
  for space, seq in pairs(places) do
    if ARGV[3] == '' or ARGV[3] == space then
      dropped = dropped + forget(epoch, seq, ARGV[2])
    end
  end
end
return dropped
