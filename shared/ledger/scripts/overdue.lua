-- Returns runs that may lack an owner: their lease is over, or their patience. ARGV: 1 ms since their lease was over, 2 the most of each
-- kind. Also checks the lanes of runs that wait for their session's turn, and puts runs back that a list has lost.
local most = tonumber(ARGV[2])
local AGAIN_MS = 1000 -- if the caller dies before it ends a run whose patience is over, the next one gets it after this time
local STRAYS_AT_ONCE = 50
local STRAYS_MS = 10000 -- between two looks for strays: they are rare, and each look reads dozens of entries
local paused = pauses()
local found = {}

-- Returns when to look at a run again whose patience may be over, or nothing when it no longer waits. A pause restarts its patience.
local function look_at(id)
  local run = named(id, PLACED)
  if not run.state then
    drop(id)
    return nil
  elseif run.state ~= 'queued' and MOVES[run.state] then
    return nil
  elseif paused[run.agent] or paused[ALL] then
    prolong(id, run)
    redis.call('HSET', KEY.run .. id, 'queued_until', whole(now + run.patience))
    return now + math.min(run.patience, LANE_CHECK_MS)
  elseif tonumber(run.queued_until) > now then
    return tonumber(run.queued_until)
  end
  found[#found + 1] = id
  return now + AGAIN_MS
end

local function find_impatient()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.deadlines, '-inf', score(now), 'LIMIT', 0, most)) do
    local readable, again = attempt(look_at, id)
    if not readable then -- its record is spoilt: the caller's claim mends it, so that the caller can end the run
      found[#found + 1], again = id, now + AGAIN_MS
    end
    if again then
      redis.call('ZADD', KEY.deadlines, score(again), id)
    else
      redis.call('ZREM', KEY.deadlines, id)
    end
  end
end

local function find_lost()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', score(now - ARGV[1]), 'LIMIT', 0, most)) do
    if record(id, 'state')[1] then
      found[#found + 1] = id
    else
      drop(id)
    end
  end
end

-- The next runs in this state, each time further ones, and after the last the first again.
local function next_of(state)
  local cursor = 'strays:' .. state
  local from = number(redis.call('HGET', KEY.watch, cursor), 0)
  local ids = redis.call('ZRANGE', KEY.state .. state, from, from + STRAYS_AT_ONCE - 1)
  redis.call('HSET', KEY.watch, cursor, #ids < STRAYS_AT_ONCE and 0 or from + STRAYS_AT_ONCE)
  return ids
end

local function waits(id)
  return redis.call('ZSCORE', KEY.deadlines, id) or redis.call('ZSCORE', KEY.checks, id)
end

-- A script that the server refused in its middle, or a list that somebody deleted, may leave a run in no list that a script reads. Also
-- looks at the head of arq's queue: no script reads that, so a job that arq enqueued itself would stay.
local function put_strays_back()
  if now - number(redis.call('HGET', KEY.watch, 'strays'), 0) < STRAYS_MS then
    return
  end
  redis.call('HSET', KEY.watch, 'strays', whole(now))
  for _, id in ipairs(redis.call('ZRANGE', KEY.queue, 0, STRAYS_AT_ONCE - 1)) do
    if not waits(id) and (record(id, 'state')[1] ~= 'queued' or not attempt(ready, id)) then
      redis.call('ZREM', KEY.queue, id)
      redis.call('DEL', KEY.job .. id, KEY.retry .. id)
    end
  end
  for _, id in ipairs(next_of('queued')) do
    if not waits(id) and record(id, 'state')[1] == 'queued' then
      ready_or_spoilt(id)
    end
  end
  for _, id in ipairs(next_of('running')) do
    local run = record(id, 'state', 'agent', 'keep')
    if run[1] == 'running' and run[2] and number(run[3]) and not redis.call('ZSCORE', KEY.leases, id) then
      redis.call('ZADD', KEY.leases, score(now), id)
      list(KEY.leased .. run[2], score(now), id, run[3])
    end
  end
end

watch()
check_lanes(most)
put_strays_back()
find_lost()
find_impatient()
return found
