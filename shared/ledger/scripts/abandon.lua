-- Requests a stop of the runs that no longer have a reader. ARGV: 1 reason, 2 the most runs. Returns their ids.
local ids = redis.call('ZRANGEBYSCORE', KEY.attended, '-inf', score(now), 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  request_stop(id, ARGV[1]) -- before ZREM: out of memory it ends the script, and the next call must find the run again
  redis.call('ZREM', KEY.attended, id)
end
return ids
