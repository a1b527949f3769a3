-- Gives a worker an order, which holds until the next order or until the worker ends. ARGV: 1 worker, 2 'drain', or '' for no order,
-- 3 the entry for the audit. Returns 1, or 0 when there is no such worker. The published message only saves time: a worker gets its
-- order with every announcement.
if redis.call('HEXISTS', KEY.workers, ARGV[1]) == 0 then
  return 0
end
if ARGV[2] == '' then
  redis.call('HDEL', KEY.orders, ARGV[1])
else
  redis.call('HSET', KEY.orders, ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEY.orders, WATCH_TTL_MS)
end
redis.call('PUBLISH', KEY.control, cjson.encode({worker = ARGV[1]}))
audit(ARGV[3])
return 1
