-- The common part of every ledger script; Python puts the constants above it (shared/ledger/ledger_script.py).
-- The ledger lives on one primary, so scripts build the names of keys from ids instead of declaring each in KEYS.

local function score(ms)
  return string.format('%.3f', ms)
end

local function whole(ms)
  return string.format('%.0f', math.floor(ms))
end

-- A number from Redis, or `default` when it is none that Redis takes back, so that one bad field spoils no other run's script.
local function number(value, default)
  value = tonumber(value)
  return value and math.abs(value) < MOST and value or default
end

-- Whether an error comes from what a key holds, and not from a server that refuses a command: those it may refuse for any reason.
local function is_of_data(failure)
  local text = type(failure) == 'table' and tostring(failure.err) or tostring(failure)
  for _, words in ipairs({'WRONGTYPE', 'not an integer', 'not a valid float', 'overflow', 'attempt to'}) do
    if string.find(text, words, 1, true) then
      return true
    end
  end
  return false
end

-- As pcall, for what one run's data may spoil. An error of another kind ends the script: the server's refusals are nobody's data.
local function attempt(step, ...)
  local done, value = pcall(step, ...)
  if not done and not is_of_data(value) then
    error(value)
  end
  return done, value
end

-- Two times in ms, with microseconds as their fraction. No two scripts get the same times, so as scores they keep exact order.
-- `wall` is Redis's clock, for records and counts. `now` is the ledger's time, by which leases end, patience is over and readers are
-- away. It stands still while nothing watches the ledger, and it never goes back: when Redis or every process was away, when the machine
-- slept, and when Redis's clock was set, nobody could claim, renew or read in the time between, so nothing may be over because of it.
-- `watch` writes down each second that it watches. A time that lies days away was not written by it.
local function times()
  local time = redis.call('TIME')
  local wall = time[1] * 1000 + time[2] / 1000
  local known = redis.pcall('HMGET', KEY.watch, 'at', 'skew', 'gap')
  if known.err then
    if not is_of_data(known) then
      error(known.err)
    end
    redis.call('DEL', KEY.watch)
    known = {}
  end
  local at, skew = number(known[1], wall), number(known[2], 0)
  local gap = wall - at
  if (gap < 0 or gap > UNWATCHED_MS) and math.abs(gap) < WATCH_TTL_MS then
    skew = skew - gap + UNWATCHED_MS -- scripts may have run for so long since
    local longest = math.max(math.abs(gap), number(known[3], 0))
    redis.pcall('HSET', KEY.watch, 'at', whole(wall), 'skew', score(skew), 'gap', whole(longest)) -- a full Redis refuses it, and may be read
  end
  return wall + skew, wall
end

local now, wall = times()

-- The fields of a run's record, in order. No value when there is no record, or when the key holds something else than a record.
local function record(id, ...)
  local values = redis.pcall('HMGET', KEY.run .. id, ...)
  if not values.err then
    return values
  end
  return is_of_data(values) and {} or error(values.err)
end

-- Deletes a key that holds another type, so that one spoilt list of a session spoils no more than itself.
local function keep_only(kind, key)
  local found = redis.call('TYPE', key)
  found = type(found) == 'table' and found.ok or found
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', key)
  end
end

-- Lets a key that several runs share live for `keep` ms more at least. No run shortens what others need, and a spoilt `keep` is none.
local function prolong_key(key, keep)
  keep = number(keep, 0)
  keep = keep > 0 and keep or UNREADABLE_TTL_MS
  if redis.call('PTTL', key) < keep then
    redis.call('PEXPIRE', key, whole(keep))
  end
end

-- The only function that changes a run's state. Returns the state before, or nil when the table has no such move.
local function move(id, to)
  local run = record(id, 'state', 'at', 'queued', 'keep')
  local from = run[1]
  if not from or not MOVES[from] or not MOVES[from][to] then
    return nil
  end
  local at = number(run[2]) or number(run[3]) -- an earlier release wrote only `queued`, in whole ms
  if at then -- first of all: if the server refuses a later step, the run is still found
    redis.call('ZADD', KEY.state .. to, at, id)
    prolong_key(KEY.state .. to, run[4])
  end
  redis.call('HSET', KEY.run .. id, 'state', to)
  if from ~= to then
    redis.call('ZREM', KEY.state .. from, id)
  end
  return from
end

-- Adds `by` to a count over time (shared/ledger/tallies.py).
local function tally(field, by)
  for name, span in pairs(TALLIES) do
    local key = KEY.tally .. name .. ':' .. whole(wall / span.ms)
    if redis.call('HINCRBY', key, field, by) == tonumber(by) then -- this call has created the field, perhaps the key
      redis.call('PEXPIRE', key, span.keep)
    end
  end
end

-- Keeps the highest value of a number that scripts sample now and then (shared/ledger/tallies.py).
local function highest(field, seen)
  for name, span in pairs(TALLIES) do
    local key = KEY.tally .. name .. ':' .. whole(wall / span.ms)
    if seen > number(redis.call('HGET', key, field), -1) then
      redis.call('HSET', key, field, seen)
      redis.call('PEXPIRE', key, span.keep)
    end
  end
end

-- Records an operator's operation in the audit, with the time in front. `entry` is JSON; empty or nil when no operator acted.
local function audit(entry)
  if entry and entry ~= '' then
    redis.call('LPUSH', KEY.audit, whole(wall) .. ' ' .. entry)
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

-- The agents that operators hold back; ALL is every agent.
local function pauses()
  local paused = {}
  for _, name in ipairs(redis.call('HKEYS', KEY.paused)) do
    paused[name] = true
  end
  return paused
end

-- Whether `token` still owns the run's lease. The record decides; arq's in-progress key only shows the lease to arq.
local function owns(id, token)
  local run = record(id, 'state', 'token')
  return run[1] == 'running' and run[2] == token
end

-- Notes that an attempt starts an agent. A claim alone does not show it: an owner may claim a run only to end it.
local function begin(id, attempt)
  redis.call('HSETNX', KEY.run .. id, 'started', whole(wall))
  redis.call('HSET', KEY.run .. id, 'begun', attempt)
end

-- Notes that a run is to stop; the first reason stays. Returns the run's state. The published message only saves time: the owner gets
-- the note with every renewal, and the next owner with its claim.
local function request_stop(id, reason)
  local state = record(id, 'state')[1]
  if state and not ENDS[state] then
    redis.call('HSETNX', KEY.run .. id, 'cancel', reason)
    redis.call('PUBLISH', KEY.control, cjson.encode({run = id, stop = redis.call('HGET', KEY.run .. id, 'cancel')}))
  end
  return state
end
