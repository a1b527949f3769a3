-- Returns how many runs are ahead of this one, in the queue, or in its lane while it waits for its session's turn; -1 when the run does
-- not wait. ARGV: 1 id. The script only reads, so it leaves the repair of a lane to other scripts.
local id = ARGV[1]
local record = redis.call('HMGET', KEY.run .. id, 'state', 'session', 'queued_until')
if record[1] ~= 'queued' then
  return -1
end
if record[3] ~= '0' then
  local at = redis.call('ZSCORE', KEY.queue, id)
  return at and redis.call('ZCOUNT', KEY.queue, '-inf', '(' .. at) or -1
end
local before = 0
for _, other in ipairs(redis.call('LRANGE', KEY.lane .. record[2], 0, -1)) do
  if other == id then
    break
  end
  local state = redis.call('HGET', KEY.run .. other, 'state')
  if state and not ENDS[state] then
    before = before + 1
  end
end
return before
