-- Notes that an attempt starts an agent. ARGV: 1 id, 2 token. Answers 1, or 0 when the token no longer owns the run.
local id, token = ARGV[1], ARGV[2]
if not owns(id, token) then
  return 0
end
local record = KEY.run .. id
redis.call('HSETNX', record, 'started', whole(clock()))
redis.call('HSET', record, 'begun', redis.call('HGET', record, 'attempt'))
return 1
