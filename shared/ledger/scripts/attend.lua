-- Sets when runs count as abandoned. ARGV: 1 ms from now, 2 'later' to postpone that time (the run has a reader) or 'then' to set it (a
-- reader has left; the report for another reader will postpone it), then the runs. Runs that go on without readers are not in the list,
-- and XX keeps them out. Returns the runs that the ledger does not know any more.
local at = score(now + ARGV[1])
local gone = {}
for i = 3, #ARGV do
  if redis.call('EXISTS', KEY.run .. ARGV[i]) == 0 then
    gone[#gone + 1] = ARGV[i]
  elseif ARGV[2] == 'later' then
    redis.call('ZADD', KEY.attended, 'XX', 'GT', at, ARGV[i])
  else
    redis.call('ZADD', KEY.attended, 'XX', at, ARGV[i])
  end
end
return gone
