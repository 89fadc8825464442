-- What all scripts of cached values use: how their heads are laid out (see seal.py).

local function time_of(name)
  local text = redis.call('GETRANGE', name, 0, 11)
  if #text < 12 or string.sub(text, 1, 4) ~= 'gpv1' then return nil end
  return (struct.unpack('>d', string.sub(text, 5, 12)))
end

-- Whether it only leads to another one.
local function is_aside(name)
  local prefix = KEYS[1] .. 'aside:'
  return string.sub(name, 1, #prefix) == prefix
end

local function some_names(cursor, count)
  local page = redis.call('SCAN', cursor, 'MATCH', KEYS[1] .. '*', 'COUNT', count)
  return page[1], page[2]
end
