-- Pauses an agent, or all: workers claim none of its runs. ARGV: 1 agent, or ALL, 2 the operator's credential, 3 the entry for the audit.
-- Returns 1, 0 when it was paused already, -1 when PAUSED_MOST agents are paused.
if redis.call('HEXISTS', KEY.paused, ARGV[1]) == 1 then
  return 0
end
if redis.call('HLEN', KEY.paused) >= PAUSED_MOST then
  return -1
end
redis.call('HSET', KEY.paused, ARGV[1], whole(wall) .. ' ' .. ARGV[2])
audit(ARGV[3])
return 1
