-- A record. ARGV[2]: its kind; ARGV[3]: its id.

return redis.call('HGET', key('records:' .. ARGV[2]), ARGV[3])
