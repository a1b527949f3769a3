-- Gives runs to an owner, with a lease. ARGV: 1 owner, 2 lease in ms, 3 most runs, 4 the agents that the owner serves, with their
-- policies, as JSON, 5 the id of the run that the owner claims in order to end it, else ''.
-- Returns for each run: {id, its state before, token, attempt, tries, cancel, 1 if an agent begins, now, spec, policy, when it was
-- accepted, when it became ready for a claim (0: not yet), the last attempt before this one for which an agent was to begin, how often
-- the run was lost with an agent, its agent, its session, its owner}.
-- Lost runs come first. Then the agents are served in turn, and within each agent the owners: what waits for others costs nothing.
local owner, lease, most, only = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local serves = cjson.decode(ARGV[4])
local paused = pauses()
local claimed, served = {}, 0
local LOOK_AT = 100 -- entries of one list that a claim may pass over: runs that have ended, that another owner renewed
local CHECKED_AT_ONCE = 20 -- lanes; each takes a dozen commands

local function is_paused(agent)
  return paused[agent] or paused[ALL]
end

-- Moves an owner or an agent behind the others.
local function was_served(key, name)
  served = served + 1
  redis.call('ZADD', key, 'XX', score(now + served / 1000), name)
end

-- Whether the run may go on waiting for a worker. 0: its queue timeout has not begun, as its session's turn has not come.
local function patient(run)
  local until_ms = number(run.queued_until, 0)
  return until_ms == 0 or now < until_ms
end

-- Lets a run wait in line until its next check.
local function put_off(id, run)
  leave(id, run)
  redis.call('HSET', KEY.run .. id, 'queued_until', 0)
  wait_in_line(id, run)
end

-- Whether a lock stands for a lease of which `leases` does not know, as those of release 0.2 do. One that lives for longer than leases do
-- was set while Redis's clock was ahead.
local longest = 2 * math.max(lease, number(redis.call('HGET', KEY.watch, 'lease'), 0))
local function locked(id)
  local left = redis.call('PTTL', KEY.lock .. id)
  return left > 0 and left <= longest
end

-- Whether the owner may claim the run now. `ending` is true when the owner claims this run only, in order to end it.
local function due(id, run, ending)
  if run.state == 'running' then
    return not locked(id) and (ending or not is_paused(run.agent))
  end
  local counted = number(run.queued_until, 0) > 0
  if ending and run.cancel then
    return true
  end
  if counted and is_paused(run.agent) then
    return false -- its queue timeout does not end it during a pause
  end
  if ending and counted then
    return not patient(run)
  end
  if not has_turn(id, run) then
    put_off(id, run)
    return false
  end
  if ending then
    ready(id) -- the run before it is gone without a settlement
    return false
  end
  return true
end

local TEXTS = {'agent', 'owner', 'session', 'bell'}
local NUMBERS = {'v', 'keep', 'patience', 'queued_until', 'attempt', 'tries', 'queued', 'at'}
local LATER = {'ready', 'begun', 'losses', 'place'} -- numbers that a record has from some step on
local FIELDS = {'state', 'cancel', 'policy', unpack(TEXTS)}
for _, names in ipairs({NUMBERS, LATER}) do
  for _, name in ipairs(names) do
    FIELDS[#FIELDS + 1] = name
  end
end

-- Whether all fields that the scripts compute with can be read.
local function sound(run)
  for _, name in ipairs(TEXTS) do
    if not run[name] then
      return false
    end
  end
  for _, name in ipairs(NUMBERS) do
    if not number(run[name]) then
      return false
    end
  end
  for _, name in ipairs(LATER) do
    if run[name] and not number(run[name]) then
      return false
    end
  end
  return MOVES[run.state] ~= nil
end

-- Whether this claim starts an agent. Only this function decides that, and Python uses its result (shared/ledger/takeover.py). For a
-- lost run Python decides by the log, and the script `begin` notes the start.
local function begins(from, run, ending)
  return from == 'queued' and not ending and not run.cancel and not run.spoilt and patient(run)
end

local function give(id, run, policy, ending)
  local key = KEY.run .. id
  local from = move(id, 'running')
  local attempt = redis.call('HINCRBY', key, 'attempt', 1)
  local tries = redis.call('HINCRBY', key, 'tries', 1)
  local losses = run.losses or '0'
  if from == 'running' and run.begun == run.attempt then -- not a run whose owner had claimed it to end it
    losses = redis.call('HINCRBY', key, 'losses', 1)
  end
  local token = owner .. '/' .. attempt
  redis.call('HSET', key, 'worker', owner, 'token', token, 'policy', policy)
  local begun = begins(from, run, ending)
  if begun then
    begin(id, attempt)
  end
  prolong_key(key, run.keep)
  leave(id, run)
  lease_until(id, run.agent, token, now + lease, run.keep)
  if from == 'queued' and not ending then
    tally('wait:' .. math.ceil(2 * math.log(math.max(0, wall - (run.ready or wall)) + 1) / math.log(2)), 1)
  end
  claimed[#claimed + 1] = {
    id, from, token, attempt, tries, run.cancel or '', begun and 1 or 0, whole(wall), redis.call('HGET', key, 'spec') or '', policy,
    run.queued, run.ready or '0', run.begun or '0', losses, run.agent, run.session, run.owner}
end

-- A record of which a field is missing or spoilt must not stop the claims of all other runs. This gives it the fields that its end needs.
-- Without `spec` no agent runs: the owner ends the run as unreadable. The attempt is higher than any that the log knows.
local function mend(id, run)
  local key = KEY.run .. id
  local defaults = {
    v = CONTRACT, keep = whole(UNREADABLE_TTL_MS), patience = '0', queued_until = '1', attempt = whole(now), tries = '0',
    queued = whole(wall), at = score(wall), ready = whole(wall), begun = '0', losses = '0', place = score(now)}
  for name, default in pairs(defaults) do
    run[name] = number(run[name]) and run[name] or default
    redis.call('HSET', key, name, run[name])
  end
  for _, name in ipairs(TEXTS) do
    run[name] = run[name] or ''
    redis.call('HSET', key, name, run[name])
  end
  run.state = MOVES[run.state] and run.state or 'queued'
  run.spoilt = true
  redis.call('HSET', key, 'state', run.state, 'spec', '')
end

-- Claims the run if it is due. Returns false when the entry that led to it is void: there is no such run, or it has ended.
local function take(id, ending)
  local run = named(id, FIELDS)
  if ENDS[run.state] or (not run.state and redis.call('HLEN', KEY.run .. id) == 0) then
    return false
  end
  if not sound(run) then
    mend(id, run)
  end
  local policy = serves[run.agent] or serves['*'] or (ending and (run.policy or '{}'))
  if tonumber(run.v) > CONTRACT then
    if run.state == 'queued' and not ending then -- left for a newer release, and out of the way of the runs behind it
      put_off(id, run)
    end
  elseif policy and due(id, run, ending) then
    give(id, run, policy, ending)
  end
  return true
end

-- Claims the run if it is due. No other run must suffer from an error here. If the run's data is at fault, its record goes, and its
-- readers are told that it is lost. An error of another kind may be the server's, so the run is only looked at again later. Returns
-- false when the entry that led to the run is void.
local function try(id, ending)
  local kept, valid = pcall(take, id, ending)
  if kept and valid then
    return true
  elseif not kept and not is_of_data(valid) then
    local run = named(id, PLACED)
    if run.state == 'queued' then
      put_off(id, run)
    end
    return true
  elseif not kept then
    redis.call('DEL', KEY.run .. id)
  end
  drop(id)
  return false
end

local function claim_lost(leases)
  local passed = 0
  repeat
    local ids = redis.call('ZRANGEBYSCORE', leases, '-inf', score(now), 'LIMIT', passed, LOOK_AT)
    for _, id in ipairs(ids) do
      if #claimed == most then
        return
      end
      local before = #claimed
      if not try(id, false) then
        redis.call('ZREM', leases, id)
      elseif #claimed == before then
        passed = passed + 1
      end
    end
  until #ids < LOOK_AT or passed >= 10 * LOOK_AT
end

-- Claims the first run of the owner whose turn it is. Returns whether there was one.
local function claim_next(agent)
  for _ = 1, LOOK_AT do
    local whose = redis.call('ZRANGE', KEY.owners .. agent, 0, 0)[1]
    if not whose then
      redis.call('ZREM', KEY.turns, agent)
      return false
    end
    local id = redis.call('ZRANGE', waiting(agent, whose), 0, 0)[1]
    if not id then
      redis.call('ZREM', KEY.owners .. agent, whose)
    else
      local before = #claimed
      try(id, false)
      if #claimed > before then
        was_served(KEY.owners .. agent, whose)
        was_served(KEY.turns, agent)
        return true
      end
      redis.call('ZREM', KEY.ready .. agent, id) -- no run that may be claimed
      redis.call('ZREM', waiting(agent, whose), id)
    end
  end
  return false
end

-- The served agents with runs that may be claimed, in turn.
local function agents_in_turn()
  local names = {}
  if serves['*'] then
    names = redis.call('ZRANGE', KEY.turns, 0, PAUSED_MOST + LOOK_AT)
  else
    local turns = {}
    for name in pairs(serves) do
      local turn = redis.call('ZSCORE', KEY.turns, name)
      if turn then
        turns[name], names[#names + 1] = tonumber(turn), name
      end
    end
    table.sort(names, function(one, other) return turns[one] < turns[other] end)
  end
  local free = {}
  for _, name in ipairs(names) do
    if not is_paused(name) then
      free[#free + 1] = name
    end
  end
  return free
end

local function claim_ready()
  local names = agents_in_turn()
  while #names > 0 and #claimed < most do
    local more = {}
    for _, name in ipairs(names) do
      if #claimed < most and claim_next(name) then
        more[#more + 1] = name
      end
    end
    names = more
  end
end

if only ~= '' then
  watch() -- a janitor that ends thousands of runs watches all the while
  try(only, true)
else
  watch(lease)
  adopt()
  check_lanes(CHECKED_AT_ONCE)
  if serves['*'] then
    claim_lost(KEY.leases)
  else
    for name in pairs(serves) do
      claim_lost(KEY.leased .. name)
    end
  end
  claim_ready()
end
return claimed
