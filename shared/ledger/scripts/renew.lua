-- Prolongs leases. ARGV: 1 lease in ms, then id and token of each run.
-- Answers, a run each: 'held', 'cancel:<reason>' (held, and asked to stop), 'done' (this owner has settled it or handed it back), or
-- 'lost' (another owner has it, or it is gone).
local lease = tonumber(ARGV[1])
local now = clock()
watch(now, lease)
local answers = {}
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  if owns(id, token) then
    local record = redis.call('HMGET', KEY.run .. id, 'cancel', 'keep', 'session')
    -- A lock that ran out while nobody claimed the run is simply taken again.
    redis.call('SET', KEY.lock .. id, token, 'PX', lease)
    redis.call('ZADD', KEY.leases, score(now + lease), id)
    redis.call('PEXPIRE', KEY.run .. id, record[2])
    redis.call('PEXPIRE', KEY.job .. id, record[2])
    redis.call('PEXPIRE', KEY.lane .. record[3], record[2])
    redis.call('PEXPIRE', KEY.session .. record[3], record[2])
    redis.call('PEXPIRE', KEY.state .. 'running', record[2])
    answers[#answers + 1] = record[1] and 'cancel:' .. record[1] or 'held'
  else
    answers[#answers + 1] = redis.call('HGET', KEY.run .. id, 'token') == token and 'done' or 'lost'
  end
end
return answers
