-- Takes runs over from the lists of release 0.2, which had one list for all agents. So processes of that release and of this one work on
-- one Redis during a deploy: what the old ones accept, hand back or lose is claimed by the new workers. A page at a time.
local ADOPTED_AT_ONCE = 100

local function adopt_queued(id)
  local run = named(id, PLACED)
  if run.state == 'queued' and run.queued_until == '0' then
    wait_in_line(id, run)
  elseif run.state == 'queued' then
    redis.call('HSETNX', KEY.run .. id, 'place', run.at)
    ready(id)
  end
end

local function adopt_lost(id)
  local run = named(id, PLACED)
  if run.state == 'running' then
    local ends = redis.call('ZSCORE', KEY.earlier_leases, id)
    redis.call('ZADD', KEY.leases, ends, id)
    list(KEY.leased .. run.agent, ends, id, run.keep)
  end
end

local function adopt()
  for _, id in ipairs(redis.call('ZRANGE', KEY.earlier_queue, 0, ADOPTED_AT_ONCE - 1)) do
    attempt(adopt_queued, id)
    redis.call('ZREM', KEY.earlier_queue, id)
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.earlier_leases, '-inf', score(now), 'LIMIT', 0, ADOPTED_AT_ONCE)) do
    attempt(adopt_lost, id)
    redis.call('ZREM', KEY.earlier_leases, id)
  end
end
