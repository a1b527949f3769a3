-- Asks for the runs to be stopped that nobody reads any more. ARGV: 1 reason, 2 most. Answers their ids.
local ids = redis.call('ZRANGEBYSCORE', KEY.attended, '-inf', score(clock()), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZREM', KEY.attended, id)
  ask_to_stop(id, ARGV[1])
end
return ids
