-- Hands a run back to its place in the queue; it keeps its turn in its session. ARGV: 1 id, 2 token, 3 tries to give back,
-- 4 losses to take back. Returns 1, or 0 when the token no longer owns the run.
local id, token = ARGV[1], ARGV[2]
if not owns(id, token) or not move(id, 'queued') then
  return 0
end
redis.call('HINCRBY', KEY.run .. id, 'tries', 0 - ARGV[3])
redis.call('HINCRBY', KEY.run .. id, 'losses', 0 - ARGV[4])
unlease(id, redis.call('HGET', KEY.run .. id, 'agent'))
ready(id)
return 1
