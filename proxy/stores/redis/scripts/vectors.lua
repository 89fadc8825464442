-- What all scripts of vectors use. `entries` is a stream of what came, `gone` one of what went: the
-- first half of a message's id is its number. `kept` has what an entry is good for, `names` where
-- an id stands, `ends` when an entry is over; `of:EPOCH:SPACE` are the numbers in a space.

local entries, gone, kept = key('entries'), key('gone'), key('kept')
local names, ends, state = key('names'), key('ends'), key('state')

local function epoch_now()
  return redis.call('HGET', state, 'epoch')
end

-- One life of what is kept: another after a restart, as that may have undone what was told.
local function life()
  local known = epoch_now()
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
  return (known or '') .. ':' .. run, known
end

-- The last number, and that of the last going which is no longer told.
local function numbers()
  return redis.call('HGET', state, 'seq') or '0', redis.call('HGET', state, 'forgotten') or '0'
end

-- A server may have lost a part of it: then all of it is worth nothing.
local function begin(epoch)
  local known = epoch_now()
  if known then return known end
  redis.call('UNLINK', entries, gone, kept, names, ends)
  redis.call('HSET', state, 'epoch', epoch, 'seq', 0, 'forgotten', 0)
  return epoch
end

local function space_name(epoch, space)
  return key('of:' .. epoch .. ':' .. space)
end

-- A full server refuses this: then others will look for the entry in vain, and no worse.
local function tell_gone(space, seq, at)
  local number = redis.pcall('HINCRBY', state, 'seq', 1)
  if type(number) == 'number' then
    redis.pcall('XADD', gone, whole(number) .. '-0', 'space', space, 'dead', seq, 'at', at)
  end
end

-- Forget an entry; `at` is the time, nil where everybody knows that it is over.
local function forget(epoch, seq, at)
  local text = redis.call('HGET', kept, seq)
  if not text then return 0 end
  local id, space = unpack(cmsgpack.unpack(text))
  redis.call('HDEL', kept, seq)
  redis.call('ZREM', ends, seq)
  redis.call('XDEL', entries, seq .. '-0')
  redis.call('ZREM', space_name(epoch, space), seq)
  local places = cmsgpack.unpack(redis.call('HGET', names, id) or '\128')
  if places[space] == seq then places[space] = nil end
  if next(places) then
    redis.pcall('HSET', names, id, cmsgpack.pack(places))
  else
    redis.call('HDEL', names, id)
  end
  if at then tell_gone(space, seq, at) end
  return 1
end

local function after(seq)
  return whole(tonumber(seq) + 1) .. '-0'
end
