-- Ends the leases of an owner that is gone, so that another owner may claim its runs at once. ARGV: id and token of each run.
-- Returns how many leases were still the owner's.
local ended = 0
for i = 1, #ARGV, 2 do
  local id = ARGV[i]
  local run = named(id, {'agent', 'keep', 'bell'})
  if owns(id, ARGV[i + 1]) and run.agent and number(run.keep) then
    redis.call('DEL', KEY.lock .. id)
    redis.call('ZADD', KEY.leases, score(now - FORFEIT_MS), id)
    list(KEY.leased .. run.agent, score(now - FORFEIT_MS), id, run.keep)
    ring(run.bell or run.agent)
    ended = ended + 1
  end
end
return ended
