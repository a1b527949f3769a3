-- The common part of every log script. KEYS: 1 stream, 2 head. ARGV: 1 attempt, 2 time to live in ms.
local stream, head = KEYS[1], KEYS[2]
local attempt, keep = tonumber(ARGV[1]), ARGV[2]

local function refresh()
  redis.call('PEXPIRE', stream, keep)
  redis.call('PEXPIRE', head, keep)
end

-- Writes the events from ARGV[from] on and publishes them; `first` is the number of the first. Returns nil, or why the log refuses them.
-- A writer repeats a batch whose answer was lost, so the script skips the events that the log has already.
local function write(channel, first, from, fields)
  local known = redis.call('HMGET', head, 'attempt', 'seq', 'terminal', 'first')
  local seq = tonumber(known[2] or 0)
  if known[3] then
    return 'closed'
  end
  if attempt > 0 and not known[1] then
    return 'lost'
  end
  if tonumber(known[1] or 0) ~= attempt then
    return 'fenced'
  end
  if first > seq + 1 then
    return 'lost'
  end
  local fresh = {}
  for i = from + (seq + 1 - first), #ARGV do
    seq = seq + 1
    redis.call('XADD', stream, '0-' .. seq, 'e', ARGV[i])
    fresh[#fresh + 1] = ARGV[i]
  end
  if #fresh > 0 then
    redis.call('HSET', head, 'seq', seq, unpack(fields))
    if not known[4] and fields[2] ~= '0' then -- the log's first characters
      local time = redis.call('TIME')
      redis.call('HSET', head, 'first', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
    end
    redis.call('PUBLISH', channel, table.concat(fresh, '\n'))
  end
  if not known[2] then -- only at the first event: later the worker that holds the run touches the log now and then
    refresh()
  end
  return nil
end
