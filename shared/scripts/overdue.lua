-- Runs nobody may be looking after. ARGV: 1 ms since their lease was over, 2 ms since they could be claimed, 3 most of each.
local now = clock()
watch(now)
local lost = redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', score(now - ARGV[1]), 'LIMIT', 0, ARGV[3])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.queue, '-inf', score(now - ARGV[2]), 'LIMIT', 0, ARGV[3])) do
  lost[#lost + 1] = id
end
return lost
