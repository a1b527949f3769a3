-- The common part of every ledger script; Python puts the constants above it (shared/ledger/ledger_script.py).
-- The ledger lives on one primary, so scripts build the names of keys from ids instead of declaring each in KEYS.

-- The time by Redis's clock in ms, with microseconds as its fraction. No two scripts get the same time, so as a score it keeps exact
-- order.
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

-- The only function that changes a run's state. Returns the state before, or nil when the table has no such move.
local function move(id, to)
  local record = redis.call('HMGET', KEY.run .. id, 'state', 'at', 'queued', 'keep')
  local from = record[1]
  if not from or not MOVES[from][to] then
    return nil
  end
  redis.call('HSET', KEY.run .. id, 'state', to)
  redis.call('ZREM', KEY.state .. from, id)
  local at = record[2] or record[3] -- an earlier release wrote only `queued`, in whole ms
  if at then
    redis.call('ZADD', KEY.state .. to, at, id)
    redis.call('PEXPIRE', KEY.state .. to, record[4])
  end
  return from
end

-- Adds `by` to a count over time (shared/ledger/tallies.py).
local function tally(now, field, by)
  for name, span in pairs(TALLIES) do
    local key = KEY.tally .. name .. ':' .. whole(now / span.ms)
    if redis.call('HINCRBY', key, field, by) == tonumber(by) then -- this call has created the field, perhaps the key
      redis.call('PEXPIRE', key, span.keep)
    end
  end
end

-- Keeps the highest value of a number that scripts sample now and then (shared/ledger/tallies.py).
local function highest(now, field, seen)
  for name, span in pairs(TALLIES) do
    local key = KEY.tally .. name .. ':' .. whole(now / span.ms)
    if seen > tonumber(redis.call('HGET', key, field) or -1) then
      redis.call('HSET', key, field, seen)
      redis.call('PEXPIRE', key, span.keep)
    end
  end
end

-- Records an operator's operation in the audit, with the time in front. `entry` is JSON; empty or nil when no operator acted.
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

-- Makes a run claimable by a worker from now on. Its patience (the queue timeout) begins.
local function ready(id, now)
  local record = redis.call('HMGET', KEY.run .. id, 'bell', 'patience')
  redis.call('HSET', KEY.run .. id, 'queued_until', whole(now + record[2]), 'ready', whole(now))
  redis.call('ZADD', KEY.queue, score(now), id)
  ring(record[1])
end

-- Returns the run whose turn it is in a session. Drops runs from the lane that have ended or expired without leaving it: a lane must
-- not wait for a run that no longer exists.
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
  if record[1] == 'queued' and record[2] == '0' then -- not a run that an owner has claimed before its turn in order to end it
    ready(first, now)
  end
end

-- Whether `token` still owns the run's lease. The record decides; arq's in-progress key only shows the lease to arq.
local function owns(id, token)
  local record = redis.call('HMGET', KEY.run .. id, 'state', 'token')
  return record[1] == 'running' and record[2] == token
end

-- A lease must end because its owner was silent, not because Redis was away and could not receive a renewal. So each script that
-- checks the leases writes down when it did. If no script did for half a lease, Redis was away, and each owner gets a whole lease to
-- renew. For a short lease half of it is less than the time between two checks; without UNWATCHED_MS it would never end.
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

-- Notes that an attempt starts an agent. A claim alone does not show it: an owner may claim a run only to end it.
local function begin(id, attempt, now)
  redis.call('HSETNX', KEY.run .. id, 'started', whole(now))
  redis.call('HSET', KEY.run .. id, 'begun', attempt)
end

local function unlease(id)
  redis.call('DEL', KEY.lock .. id)
  redis.call('ZREM', KEY.leases, id)
end

-- Notes that a run is to stop; the first reason stays. Returns the run's state. The published message only saves time: the owner gets
-- the note with every renewal, and the next owner with its claim.
local function request_stop(id, reason)
  local state = redis.call('HGET', KEY.run .. id, 'state')
  if state and not ENDS[state] then
    redis.call('HSETNX', KEY.run .. id, 'cancel', reason)
    redis.call('PUBLISH', KEY.control, cjson.encode({run = id, stop = redis.call('HGET', KEY.run .. id, 'cancel')}))
  end
  return state
end
