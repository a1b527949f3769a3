-- Writes a process into the list of workers or of API processes, with the time in front, and drops old entries. ARGV: 1 'workers' or
-- 'webs', 2 the process, 3 its announcement as JSON, 4 the deltas to count. Returns the operator's order, or ''.
local list, name = KEY[ARGV[1]], ARGV[2]
redis.call('HSET', list, name, whole(now) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', list, WATCH_TTL_MS) -- far longer than an entry stays: Redis's clock may be set
redis.call('PEXPIRE', KEY.orders, WATCH_TTL_MS)
local all = redis.call('HGETALL', list)
for i = 1, #all, 2 do
  if now - number(string.match(all[i + 1], '^%d+'), 0) > WORKER_MEMORY_MS then
    redis.call('HDEL', list, all[i])
    redis.call('HDEL', KEY.orders, all[i])
  end
end

if tonumber(ARGV[4]) > 0 then
  tally('deltas', ARGV[4])
end
if list == KEY.workers then
  highest('running', redis.call('ZCARD', KEY.leases))
  highest('waiting', redis.call('ZCARD', KEY.deadlines))
end
return redis.call('HGET', KEY.orders, name) or ''
