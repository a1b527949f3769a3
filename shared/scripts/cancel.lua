-- Asks for a run to be stopped. ARGV: 1 id, 2 reason. The first reason stays. Answers the run's state, or '' when there is no such run.
local id, reason = ARGV[1], ARGV[2]
local state = redis.call('HGET', KEY.run .. id, 'state')
if state and not ENDS[state] then
  redis.call('HSETNX', KEY.run .. id, 'cancel', reason)
  -- The message is for speed; the flag is seen again at every renewal and by whoever claims the run next.
  redis.call('PUBLISH', KEY.control, cjson.encode({run = id, stop = redis.call('HGET', KEY.run .. id, 'cancel')}))
end
return state or ''
