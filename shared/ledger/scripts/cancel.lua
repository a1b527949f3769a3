-- Requests that a run stop. ARGV: 1 id, 2 reason, 3 the entry for the audit or ''. Returns {the run's state, or '' when there is no such
-- run}.
local state = request_stop(ARGV[1], ARGV[2])
if state and not ENDS[state] then
  audit(ARGV[3])
end
return {state or ''}
