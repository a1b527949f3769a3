-- Prolongs leases. ARGV: 1 lease in ms, then id and token of each run.
-- Returns for each run: 'held', 'cancel:<reason>' (held, and the run is to stop), 'done' (this owner has settled the run or handed it
-- back), or 'lost' (another owner has the run, or it is gone).
local lease = tonumber(ARGV[1])
local now = clock()
watch(now, lease)
local answers = {}
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  if owns(id, token) then
    local record = redis.call('HMGET', KEY.run .. id, 'cancel', 'keep', 'session')
    -- If the lock ran out and no other owner claimed the run, the owner simply takes it again.
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
