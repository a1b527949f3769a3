-- Sets when runs count as abandoned. ARGV: 1 ms from now, 2 'later' to put it off (a reader is there) or 'then' to set it (a reader has
-- left; one that is still there will put it off), then the runs. Runs that go on without readers are not in the list and stay out.
local at = score(clock() + ARGV[1])
for i = 3, #ARGV do
  if ARGV[2] == 'later' then
    redis.call('ZADD', KEY.attended, 'XX', 'GT', at, ARGV[i])
  else
    redis.call('ZADD', KEY.attended, 'XX', at, ARGV[i])
  end
end
return 1
