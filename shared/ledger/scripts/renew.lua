-- Prolongs leases. ARGV: 1 lease in ms, then id and token of each run.
-- Returns for each run: 'held', 'cancel:<reason>' (held, and the run is to stop), 'done' (this owner has settled the run or handed it
-- back), or 'lost' (another owner has the run, or it is gone).
local lease = tonumber(ARGV[1])
watch(lease)
local answers = {}
for i = 2, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  if owns(id, token) then
    local run = named(id, {'cancel', 'keep', 'session', 'agent'})
    -- If the lock ran out and no other owner claimed the run, the owner simply takes it again.
    lease_until(id, run.agent, token, now + lease, run.keep)
    for _, key in ipairs({KEY.run .. id, KEY.job .. id, KEY.lane .. run.session, KEY.session .. run.session, KEY.state .. 'running'}) do
      redis.call('PEXPIRE', key, run.keep)
    end
    answers[#answers + 1] = run.cancel and 'cancel:' .. run.cancel or 'held'
  else
    answers[#answers + 1] = record(id, 'token')[1] == token and 'done' or 'lost'
  end
end
return answers
