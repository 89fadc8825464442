-- One of so many places. ARGV[2]: its name; [3]: how many there are; [4]: for how many seconds at
-- most; [5]: what the place is called; [6]: {name, place} of those to give back first.
-- Replies: 1, or 0 where all are taken.

for _, lost in ipairs(cjson.decode(ARGV[6])) do
  redis.call('ZREM', key('places:' .. lost[1]), lost[2])
end
local name, now, ttl_s = key('places:' .. ARGV[2]), seconds(), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('%.6f', now))
if redis.call('ZCARD', name) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', name, string.format('%.6f', now + ttl_s), ARGV[5])
local kept_ms = math.max(redis.call('PTTL', name), math.ceil(ttl_s * 1000) + 60000)
redis.call('PEXPIRE', name, whole(kept_ms))
return 1
