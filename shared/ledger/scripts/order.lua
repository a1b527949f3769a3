-- Tells a worker what to do until it is told otherwise or ends. ARGV: 1 worker, 2 'drain', or '' for nothing special, 3 the audit's entry.
-- Answers 1, or 0 when there is no such worker. The message is for speed: a worker gets its orders with every announcement.
if redis.call('HEXISTS', KEY.workers, ARGV[1]) == 0 then
  return 0
end
if ARGV[2] == '' then
  redis.call('HDEL', KEY.orders, ARGV[1])
else
  redis.call('HSET', KEY.orders, ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEY.orders, WORKER_MEMORY_MS)
end
redis.call('PUBLISH', KEY.control, cjson.encode({worker = ARGV[1]}))
audit(ARGV[3])
return 1
