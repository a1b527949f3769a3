-- Keeps the list of workers. ARGV: 1 worker, 2 its announcement as JSON, in front of which stands when it was made.
local now = clock()
redis.call('HSET', KEY.workers, ARGV[1], whole(now) .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEY.workers, WORKER_MEMORY_MS)
local all = redis.call('HGETALL', KEY.workers)
for i = 1, #all, 2 do
  if now - tonumber(string.match(all[i + 1], '^%d+')) > WORKER_MEMORY_MS then
    redis.call('HDEL', KEY.workers, all[i])
  end
end
return 1
