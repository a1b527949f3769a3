-- Notes that an attempt at a lost run starts an agent. ARGV: 1 id, 2 token, 3 1 if the attempt before never started its agent: then it
-- counts neither as a try nor as a loss. Returns 1, or 0 when the token no longer owns the run.
local id, token = ARGV[1], ARGV[2]
if not owns(id, token) then
  return 0
end
local known = record(id, 'attempt', 'begun', 'tries', 'losses')
if not known[1] then
  return 0 -- its record is spoilt: whoever claims it next ends it
end
if ARGV[3] == '1' and known[1] ~= known[2] then -- not when the call comes again
  redis.call('HSET', KEY.run .. id, 'tries', math.max(1, number(known[3], 1) - 1), 'losses', math.max(0, number(known[4], 0) - 1))
end
begin(id, known[1])
return 1
