-- Makes `attempt` the only one that may write. Answers {1, seq, chars, message, calls, terminal} or {0} when a later attempt owns the log.
local known = redis.call('HMGET', head, 'attempt', 'seq', 'chars', 'message', 'calls', 'terminal')
if tonumber(known[1] or 0) > attempt then
  return {0}
end
redis.call('HSET', head, 'attempt', attempt)
refresh()
return {1, tonumber(known[2] or 0), tonumber(known[3] or 0), tonumber(known[4] or 0), tonumber(known[5] or 0), known[6] or ''}
