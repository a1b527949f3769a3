-- Makes `attempt` the only one that may write. ARGV: 3 channel, 4 the event of its agent starting, or ''. The script gives that event the
-- next number and adds it, once per attempt however often the call comes, unless the log is closed.
-- Returns {1, seq, chars, message, calls, the attempt whose start the log has, terminal}, or {0} when a later attempt owns the log.
local known = redis.call('HMGET', head, 'attempt', 'seq', 'chars', 'message', 'calls', 'terminal', 'started')
if tonumber(known[1] or 0) > attempt then
  return {0}
end
local seq, started = tonumber(known[2] or 0), tonumber(known[7] or 0)
redis.call('HSET', head, 'attempt', attempt)
redis.call('PEXPIRE', head, keep) -- now: a stream that is something else ends the script
if ARGV[4] ~= '' and not known[6] and started ~= attempt then
  seq, started = seq + 1, attempt
  local event = string.gsub(ARGV[4], '"seq":%d+', '"seq":' .. seq, 1)
  redis.call('XADD', stream, '0-' .. seq, 'e', event)
  redis.call('HSET', head, 'seq', seq, 'started', attempt)
  redis.call('PUBLISH', ARGV[3], event)
end
refresh()
return {1, seq, tonumber(known[3] or 0), tonumber(known[4] or 0), tonumber(known[5] or 0), started, known[6] or ''}
