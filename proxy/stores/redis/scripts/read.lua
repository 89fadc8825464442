-- Replies to commands that only read, all of one moment, after the number of the last row then.

local replies = {redis.call('GET', key('seq')) or '0'}
for n, command in ipairs(cjson.decode(ARGV[2])) do
  command[2] = key(command[2])
  replies[n + 1] = redis.call(unpack(command))
end
return cjson.encode(replies)
