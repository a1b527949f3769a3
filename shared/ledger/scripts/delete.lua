-- Deletes a run that has ended. ARGV: 1 id, 2 the entry for the audit. Returns {the run's state, or '' when there is no
-- such run}.
local id = ARGV[1]
local run = record(id, 'state', 'agent', 'owner')
local state = run[1]
if not state or not ENDS[state] then
  return {state or ''}
end
for _, index in ipairs({KEY.runs, KEY.state .. state, KEY.agent .. (run[2] or ''), KEY.owned .. (run[3] or '')}) do
  redis.call('ZREM', index, id)
end
redis.call('DEL', KEY.run .. id, KEY.result .. id, KEY.job .. id, KEY.retry .. id)
audit(ARGV[2])
return {state}
