-- Ends a run in the ledger: arq's job and result, the transcript, the session's next turn. The log is closed already.
-- ARGV: 1 id, 2 token, 3 the end as JSON {state, code, job}, 4 the most turns of a transcript, 5 its most bytes, 6 the agent's own
-- conversation that holds the transcript, '' for none, 7 ... the turns that this run adds to the transcript.
-- Returns 1, or 0 when the token no longer owns the run: the owner will settle it.
local id, token = ARGV[1], ARGV[2]
local ending = cjson.decode(ARGV[3])
local key = KEY.run .. id
local state = record(id, 'state')[1]
if state and ENDS[state] then
  return 1
end
if not owns(id, token) or not move(id, ending.state) then
  return 0
end

local fields = redis.call('HMGET', key, 'session', 'keep', 'queued', 'started', 'tries', 'agent', 'patience')
-- While it waited it was kept for its patience, too. From now on it is kept for the retention, less long than its log.
local session, keep = fields[1] or '', number(fields[2], 0) - number(fields[7], 0)
keep = whole(keep > 0 and keep or UNREADABLE_TTL_MS) -- its record may be spoilt
redis.call('HSET', key, 'ended', whole(wall), 'code', ending.code)
redis.call('ZREMRANGEBYSCORE', KEY.state .. ending.state, '-inf', score(wall - tonumber(keep)))
tally(ending.state, 1)
redis.call('PEXPIRE', key, keep)

-- Formatted by hand because cjson cannot tell an empty object from an empty list.
-- arq knows no job that ended without a start, so a run that never started reports its end as its start.
local result = string.format(
  '{"t":%s,"f":"%s","a":["%s"],"k":{},"et":%s,"s":%s,"r":"%s","st":%s,"ft":%s,"q":"%s","id":"%s"}',
  number(fields[5], 0), ending.job, id, number(fields[3]) and fields[3] or whole(wall), tostring(ending.state == 'completed'), ending.state, number(fields[4]) and fields[4] or whole(wall), whole(wall), KEY.queue, id)
redis.call('SET', KEY.result .. id, result, 'PX', keep)
redis.call('DEL', KEY.job .. id, KEY.retry .. id)
redis.call('ZREM', KEY.attended, id)
unlease(id, fields[6] or '')

keep_only('list', KEY.lane .. session)
local fresh = #ARGV - 6
if fresh > 0 then
  keep_only('list', KEY.transcript .. session)
  local transcript, most, bytes = KEY.transcript .. session, tonumber(ARGV[4]), tonumber(ARGV[5])
  for i = 7, #ARGV do
    redis.call('RPUSH', transcript, ARGV[i])
  end
  local turns = redis.call('LRANGE', transcript, 0, -1)
  local size, left = 0, #turns
  for _, kept in ipairs(turns) do
    size = size + #kept
  end
  -- Drops the oldest turns, a whole exchange at a time: results of tools are worth nothing without their calls. This run's own turns stay.
  while left > fresh and (left > most or size > bytes) do
    repeat
      size, left = size - #redis.call('LPOP', transcript), left - 1
      local first = turns[#turns - left + 1]
      local readable, turn = pcall(cjson.decode, first or '')
    until left <= fresh or (readable and type(turn) == 'table' and turn.role == 'user')
  end
  redis.call('PEXPIRE', transcript, keep)
  redis.call('DEL', KEY.conversation .. session)
  if ARGV[6] ~= '' then
    redis.call('SET', KEY.conversation .. session, ARGV[6], 'PX', keep)
  end
end

redis.call('LREM', KEY.lane .. session, 0, id)
promote(session)
return 1
