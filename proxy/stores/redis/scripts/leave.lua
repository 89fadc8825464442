-- Give a place back. ARGV[2]: the name; ARGV[3]: the place.

return redis.call('ZREM', key('places:' .. ARGV[2]), ARGV[3])
