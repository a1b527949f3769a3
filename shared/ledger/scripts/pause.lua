-- Holds back the runs of an agent, or all: workers claim none. ARGV: 1 agent, or ALL, 2 by whom, 3 the audit's entry.
-- Answers 1, 0 when that was so already, -1 when too many agents are held back.
if redis.call('HEXISTS', KEY.paused, ARGV[1]) == 1 then
  return 0
end
if redis.call('HLEN', KEY.paused) >= PAUSED_MOST then
  return -1
end
redis.call('HSET', KEY.paused, ARGV[1], whole(clock()) .. ' ' .. ARGV[2])
audit(ARGV[3])
return 1
