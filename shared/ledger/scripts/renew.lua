-- Prolongs leases. ARGV: 1 lease in ms, then id and token of each run.
-- Returns for each run: 'held', 'cancel:<reason>' (held, and the run is to stop), 'done' (this owner has settled the run or handed it
-- back), or 'lost' (another owner has the run, or it is gone).
local lease = tonumber(ARGV[1])
watch(lease)

local function renewed(id, token)
  if not owns(id, token) then
    return record(id, 'token')[1] == token and 'done' or 'lost'
  end
  local run = named(id, {'cancel', 'keep', 'session', 'agent'})
  if not (run.session and run.agent and number(run.keep)) then
    return 'lost' -- its record is spoilt: whoever claims it next ends it
  end
  -- If the lock ran out and no other owner claimed the run, the owner simply takes it again.
  lease_until(id, run.agent, token, now + lease, run.keep)
  for _, key in ipairs({KEY.run .. id, KEY.job .. id, KEY.lane .. run.session, KEY.session .. run.session, KEY.state .. 'running'}) do
    prolong_key(key, run.keep)
  end
  return run.cancel and 'cancel:' .. run.cancel or 'held'
end

local answers = {}
for i = 2, #ARGV, 2 do
  answers[#answers + 1] = renewed(ARGV[i], ARGV[i + 1])
end
return answers
