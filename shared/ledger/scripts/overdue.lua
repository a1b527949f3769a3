-- Returns runs that may lack an owner. ARGV: 1 ms since their lease was over, 2 ms since they became claimable, 3 the most of each kind.
local now = clock()
watch(now)
local found = redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', score(now - ARGV[1]), 'LIMIT', 0, ARGV[3])
local most, passed, page = #found + ARGV[3], 0, 100

-- In pages, so that runs whose wait has restarted after a pause cannot hide the ones behind them.
while passed < 1000 do
  local ids = redis.call('ZRANGEBYSCORE', KEY.queue, '-inf', score(now - ARGV[2]), 'LIMIT', passed, page)
  for _, id in ipairs(ids) do
    if #found == most then
      return found
    end
    if tonumber(redis.call('HGET', KEY.run .. id, 'queued_until') or 0) <= now then
      found[#found + 1] = id
    end
  end
  passed = passed + #ids
  if #ids < page then
    return found
  end
end
return found
