-- The second common part of the ledger scripts: where runs wait, and where the running ones are.
--
-- A queued run is in `queue`, which arq reads, and in either of two places:
-- - It waits for its session's turn: in `checks` by the time of its next check, and in `line:<agent>`.
-- - Workers may claim it: in `ready:<agent>` and in `waiting:<agent>:<owner>`, by its place, and in `deadlines` by the end of its patience.
-- `owners:<agent>` has the owners with such runs, and `turns` the agents with such runs, each by the time at which it was last served or
-- came: so they are served in turn, and what waits for one costs a claim for another nothing.
-- A running run is in `leases` and in `leased:<agent>`, by the end of its lease. `agents` has all agents with runs of any kind.

local function waiting(agent, owner)
  return KEY.waiting .. agent .. ':' .. owner
end

-- Adds a run, an owner or an agent to a list that lives as long as the record of the run for which it is added.
local function list(key, at, name, keep)
  redis.call('ZADD', key, at, name)
  prolong_key(key, keep)
end

-- Adds an owner or an agent to those that are served in turn; one that is there already keeps its turn.
local function take_turns(key, name, keep)
  redis.call('ZADD', key, 'NX', score(now), name)
  prolong_key(key, keep)
end

-- Removes a run from the places where it waits. `run` has its agent and owner.
local function leave(id, run)
  for _, key in ipairs({KEY.queue, KEY.checks, KEY.deadlines, KEY.line .. run.agent, KEY.ready .. run.agent, waiting(run.agent, run.owner)}) do
    redis.call('ZREM', key, id)
  end
end

-- The fields of a run's record by name.
local function named(id, names)
  local values, run = record(id, unpack(names)), {}
  for i, name in ipairs(names) do
    run[name] = values[i]
  end
  return run
end

local PLACED = {'agent', 'owner', 'session', 'bell', 'patience', 'keep', 'place', 'state', 'queued_until', 'at'}

-- Makes a run claimable by a worker from now on. Its patience (the queue timeout) begins. A run that was claimable before gets the place
-- back that it had then: those behind it have waited less.
local function ready(id)
  local run = named(id, PLACED)
  local place = run.place or score(now)
  leave(id, run)
  redis.call('HSET', KEY.run .. id, 'queued_until', whole(now + run.patience), 'ready', whole(wall), 'place', place)
  redis.call('ZADD', KEY.queue, place, id)
  redis.call('ZADD', KEY.deadlines, score(now + run.patience), id)
  list(KEY.ready .. run.agent, place, id, run.keep)
  list(waiting(run.agent, run.owner), place, id, run.keep)
  take_turns(KEY.owners .. run.agent, run.owner, run.keep)
  take_turns(KEY.turns, run.agent, run.keep)
  ring(run.bell)
end

-- Makes a run wait for its session's turn, until the run before it ends, or until the next check.
local function wait_in_line(id, run)
  local check = score(now + LANE_CHECK_MS)
  redis.call('ZADD', KEY.queue, check, id)
  redis.call('ZADD', KEY.checks, check, id)
  list(KEY.line .. run.agent, check, id, run.keep)
end

-- Prolongs the keys of a run that waits: it may wait for longer than they live.
local function prolong(id, run)
  for _, key in ipairs({
    KEY.run .. id, KEY.job .. id, KEY.lane .. run.session, KEY.session .. run.session, KEY.state .. 'queued', KEY.turns,
    KEY.line .. run.agent, KEY.ready .. run.agent, KEY.owners .. run.agent, waiting(run.agent, run.owner)}) do
    prolong_key(key, run.keep)
  end
  list(KEY.agents, score(now), run.agent, run.keep)
end

-- Returns the run whose turn it is in a session. Drops runs from the lane that have ended or expired without leaving it: a lane must
-- not wait for a run that no longer exists.
local function turn(session)
  while true do
    local first = redis.pcall('LINDEX', KEY.lane .. session, 0)
    if type(first) == 'table' then -- an error
      if not is_of_data(first) then
        error(first.err)
      end
      redis.call('DEL', KEY.lane .. session)
      return nil
    elseif not first then
      return nil
    end
    local state = record(first, 'state')[1]
    if state and not ENDS[state] then
      return first
    end
    redis.call('LPOP', KEY.lane .. session)
  end
end

-- Whether it is this run's turn. A lane that Redis has lost begins again with the run that asks first.
local function has_turn(id, run)
  local first = turn(run.session)
  if not first then
    redis.call('RPUSH', KEY.lane .. run.session, id)
    prolong_key(KEY.lane .. run.session, run.keep)
  end
  return not first or first == id
end

-- As `ready`. A run whose record is spoilt is left to the janitor, which ends it at once.
local function ready_or_spoilt(id)
  if not attempt(ready, id) then
    redis.call('ZREM', KEY.checks, id)
    redis.call('ZADD', KEY.deadlines, score(now), id)
  end
end

local function promote(session)
  local first = turn(session)
  local run = first and record(first, 'state', 'queued_until') or {}
  if run[1] == 'queued' and run[2] == '0' then -- not a run that an owner has claimed before its turn in order to end it
    ready_or_spoilt(first)
  end
end

-- Gives an owner the lease of a run until `ends`, or prolongs it.
local function lease_until(id, agent, token, ends, keep)
  redis.call('SET', KEY.lock .. id, token, 'PX', whole(ends - now))
  redis.call('ZADD', KEY.leases, score(ends), id)
  list(KEY.leased .. agent, score(ends), id, keep)
  list(KEY.agents, score(now), agent, keep)
end

local function unlease(id, agent)
  redis.call('DEL', KEY.lock .. id)
  redis.call('ZREM', KEY.leases, id)
  redis.call('ZREM', KEY.leased .. agent, id)
end

-- Writes down that the ledger is watched now. The ledger's time has stood still while it was not, but an owner may need longer than the
-- rest of its lease to notice that Redis is back: after a gap of half a lease each owner gets a whole one.
local function watch(lease)
  local known = redis.call('HMGET', KEY.watch, 'gap', 'lease')
  lease = lease or number(known[2], 0)
  if lease > 0 and number(known[1], 0) > lease / 2 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', score(now + lease))) do
      local run = record(id, 'agent', 'token', 'keep')
      if run[1] and number(run[3]) then
        lease_until(id, run[1], run[2] or '', now + lease, run[3])
      end
    end
  end
  redis.call('HSET', KEY.watch, 'at', whole(wall), 'lease', whole(lease), 'gap', 0)
  redis.call('PEXPIRE', KEY.watch, WATCH_TTL_MS)
end

-- Removes an entry whose run has ended or has no record. Lists that only its record could name drop it when a claim meets it there.
local function drop(id)
  redis.call('ZREM', KEY.queue, id)
  redis.call('ZREM', KEY.checks, id)
  redis.call('ZREM', KEY.deadlines, id)
  redis.call('ZREM', KEY.leases, id)
  redis.call('ZREM', KEY.state .. 'queued', id)
  redis.call('ZREM', KEY.state .. 'running', id)
  redis.call('DEL', KEY.lock .. id, KEY.job .. id, KEY.retry .. id)
end

-- Checks the lanes of runs whose time has come, at most `most`: the run before may be gone without a settlement.
local function check_lanes(most)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.checks, '-inf', score(now), 'LIMIT', 0, most)) do
    local readable = attempt(function()
      local run = named(id, PLACED)
      redis.call('ZREM', KEY.checks, id)
      redis.call('ZREM', KEY.line .. (run.agent or ''), id)
      if run.state == 'queued' and run.queued_until == '0' then
        if has_turn(id, run) then
          ready(id)
        else
          prolong(id, run)
          wait_in_line(id, run)
        end
      elseif run.state ~= 'queued' then
        redis.call('ZREM', KEY.queue, id)
      end
    end)
    if not readable then -- its record is spoilt: the janitor ends it
      redis.call('ZREM', KEY.checks, id)
      redis.call('ZADD', KEY.deadlines, score(now), id)
    end
  end
end
