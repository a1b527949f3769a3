-- Notes that an attempt at a lost run starts an agent. ARGV: 1 id, 2 token. Returns 1, or 0 when the token no longer owns the run.
local id, token = ARGV[1], ARGV[2]
if not owns(id, token) then
  return 0
end
begin(id, redis.call('HGET', KEY.run .. id, 'attempt'), clock())
return 1
