-- Asks for a run to be stopped. ARGV: 1 id, 2 reason. Answers the run's state, or '' when there is no such run.
return ask_to_stop(ARGV[1], ARGV[2]) or ''
