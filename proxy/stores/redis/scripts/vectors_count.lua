-- How many vectors a space has. ARGV[2]: its name.

local epoch = epoch_now()
return epoch and redis.call('ZCARD', space_name(epoch, ARGV[2])) or 0
