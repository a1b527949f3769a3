-- Asks for a run to be stopped. ARGV: 1 id, 2 reason, 3 the audit's entry or ''. Answers the run's state, or '' when there is no such run.
local state = ask_to_stop(ARGV[1], ARGV[2])
if state and not ENDS[state] then
  audit(ARGV[3])
end
return state or ''
