-- Asks for the runs to be stopped that nobody reads any more. ARGV: 1 reason, 2 most. Answers their ids.
local ids = redis.call('ZRANGEBYSCORE', KEY.attended, '-inf', score(clock()), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  ask_to_stop(id, ARGV[1]) -- first: without memory for the note it ends the script, and the run is to be seen again
  redis.call('ZREM', KEY.attended, id)
end
return ids
