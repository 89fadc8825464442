-- What all scripts use. KEYS[1] is how our keys begin; ARGV[1] is the time, where a test sets it.

local function key(name)
  return KEYS[1] .. name
end

local function seconds()
  if ARGV[1] ~= '' then
    return tonumber(ARGV[1])
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1e6
end

-- Lua would write numbers above 1e14 with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

local function minus(number)
  return number == '0' and '0' or '-' .. number
end
