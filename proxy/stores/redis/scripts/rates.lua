-- Buckets that drain evenly: `rate:NAME` is how much was in it, and when.
-- A take is {name, capacity, window in seconds, amount}.

local SPARE_MS = 60000  -- how much longer a bucket is kept than it needs to drain

local function level_of(take, now)
  local kept = redis.call('GET', key('rate:' .. take[1]))
  if not kept then return 0 end
  local level, at = string.match(kept, '^(%S+) (%S+)$')
  -- Where the clock was set back, no time has passed.
  local drained = math.max(0, now - tonumber(at)) * take[2] / take[3]
  return math.max(0, tonumber(level) - drained)
end

local function keep(take, level, now)
  local name = key('rate:' .. take[1])
  if level <= 0 then
    redis.call('DEL', name)
    return
  end
  local drains_ms = math.min(level * take[3] / math.max(take[2], 1) * 1000, 1e13)
  redis.call('SET', name, string.format('%.17g %.6f', level, now),
    'PX', whole(math.ceil(drains_ms) + SPARE_MS))
end
