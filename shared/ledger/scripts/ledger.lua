-- Common part of every ledger script; the facts above it come from Python (shared/ledger/ledger_script.py).
-- The ledger lives on one primary, so scripts make the names of keys from ids instead of declaring each in KEYS.

-- Time by Redis's clock in ms; the microseconds are its fraction. No two scripts share one, so as a score it keeps exact order.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + time[2] / 1000
end

local function score(ms)
  return string.format('%.3f', ms)
end

local function whole(ms)
  return string.format('%.0f', math.floor(ms))
end

-- The only way to another state. Answers the state it came from, or nil when the table has no such move.
local function move(id, to)
  local record = redis.call('HMGET', KEY.run .. id, 'state', 'at', 'queued', 'keep')
  local from = record[1]
  if not from or not MOVES[from][to] then
    return nil
  end
  redis.call('HSET', KEY.run .. id, 'state', to)
  redis.call('ZREM', KEY.state .. from, id)
  local at = record[2] or record[3] -- an earlier release noted no more than the millisecond
  if at then
    redis.call('ZADD', KEY.state .. to, at, id)
    redis.call('PEXPIRE', KEY.state .. to, record[4])
  end
  return from
end

-- Adds to what is counted over time (shared/ledger/tallies.py).
local function tally(now, field, by)
  for name, span in pairs(TALLIES) do
    local key = KEY.tally .. name .. ':' .. whole(now / span.ms)
    if redis.call('HINCRBY', key, field, by) == tonumber(by) then -- the first of its kind
      redis.call('PEXPIRE', key, span.keep)
    end
  end
end

-- The same for what is looked at now and then: the highest counts.
local function highest(now, field, seen)
  for name, span in pairs(TALLIES) do
    local key = KEY.tally .. name .. ':' .. whole(now / span.ms)
    if seen > tonumber(redis.call('HGET', key, field) or -1) then
      redis.call('HSET', key, field, seen)
      redis.call('PEXPIRE', key, span.keep)
    end
  end
end

-- Notes the act of an operator. `entry` is JSON, in front of which stands when it was done; none for an act of nobody's.
local function audit(entry)
  if entry and entry ~= '' then
    redis.call('LPUSH', KEY.audit, whole(clock()) .. ' ' .. entry)
    redis.call('LTRIM', KEY.audit, 0, AUDIT_LENGTH - 1)
    redis.call('PEXPIRE', KEY.audit, AUDIT_TTL_MS)
  end
end

local function ring(name)
  local bell = KEY.bell .. name
  if redis.call('LLEN', bell) < BELL_LENGTH then
    redis.call('RPUSH', bell, '1')
  end
  redis.call('PEXPIRE', bell, BELL_TTL_MS)
end

-- From now on a worker may claim the run, and its patience runs.
local function ready(id, now)
  local record = redis.call('HMGET', KEY.run .. id, 'bell', 'patience')
  redis.call('HSET', KEY.run .. id, 'queued_until', whole(now + record[2]), 'ready', whole(now))
  redis.call('ZADD', KEY.queue, score(now), id)
  ring(record[1])
end

-- The run whose turn it is in a session. Runs that ended or vanished without leaving the lane are dropped here, so that no lane
-- waits for a run that is no more.
local function turn(session)
  while true do
    local first = redis.call('LINDEX', KEY.lane .. session, 0)
    if not first then
      return nil
    end
    local state = redis.call('HGET', KEY.run .. first, 'state')
    if state and not ENDS[state] then
      return first
    end
    redis.call('LPOP', KEY.lane .. session)
  end
end

local function promote(session, now)
  local first = turn(session)
  local record = first and redis.call('HMGET', KEY.run .. first, 'state', 'queued_until') or {}
  if record[1] == 'queued' and record[2] == '0' then -- not one that somebody has taken before its turn, in order to end it
    ready(first, now)
  end
end

-- Whether `token` still owns the run's lease. The record is the truth; arq's in-progress key only shows it to arq.
local function owns(id, token)
  local record = redis.call('HMGET', KEY.run .. id, 'state', 'token')
  return record[1] == 'running' and record[2] == token
end

-- A lease is over when its owner was silent for too long, and not when nobody could be heard. So each look at the leases is noted, and
-- when there was none for half of one, Redis was away: who holds one then gets the time of a lease to say that it is still there. Of a
-- short lease half is less than the time between two looks, and it would never be over.
local function watch(now, lease)
  local known = redis.call('HMGET', KEY.watch, 'at', 'lease')
  lease = lease or tonumber(known[2] or 0)
  if lease > 0 and known[1] and now - known[1] > math.max(lease / 2, UNWATCHED_MS) then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', score(now + lease))) do
      redis.call('ZADD', KEY.leases, score(now + lease), id)
      redis.call('SET', KEY.lock .. id, redis.call('HGET', KEY.run .. id, 'token') or '', 'PX', whole(lease))
    end
  end
  redis.call('HSET', KEY.watch, 'at', whole(now), 'lease', whole(lease))
  redis.call('PEXPIRE', KEY.watch, WATCH_TTL_MS)
end

-- Notes that an attempt starts an agent; a claim alone may be there to end the run.
local function begin(id, attempt, now)
  redis.call('HSETNX', KEY.run .. id, 'started', whole(now))
  redis.call('HSET', KEY.run .. id, 'begun', attempt)
end

local function unlease(id)
  redis.call('DEL', KEY.lock .. id)
  redis.call('ZREM', KEY.leases, id)
end

-- Notes that a run shall be stopped; the first reason stays. Answers its state. The message is for speed: the note is seen again at
-- every renewal, and by whoever claims the run next.
local function ask_to_stop(id, reason)
  local state = redis.call('HGET', KEY.run .. id, 'state')
  if state and not ENDS[state] then
    redis.call('HSETNX', KEY.run .. id, 'cancel', reason)
    redis.call('PUBLISH', KEY.control, cjson.encode({run = id, stop = redis.call('HGET', KEY.run .. id, 'cancel')}))
  end
  return state
end
