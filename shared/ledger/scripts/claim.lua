-- Gives runs to an owner, with a lease. ARGV: 1 owner, 2 lease in ms, 3 most runs, 4 the agents that the owner serves, with their
-- policies, as JSON, 5 the id of the run that the owner claims in order to end it, else ''.
-- Returns for each run: {id, its state before, token, attempt, tries, cancel, 1 if an agent begins, now, spec, policy, when it was
-- accepted, when it became ready for a claim (0: not yet)}.
local owner, lease, most, only = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local serves = cjson.decode(ARGV[4])
local now = clock()
local claimed, held = {}, 0
local HELD_AT_ONCE = 200 -- moving one aside takes a dozen commands

-- The agents that operators hold back; ALL is every agent.
local paused = {}
for _, name in ipairs(redis.call('HKEYS', KEY.paused)) do
  paused[name] = true
end

-- Removes a run that only arq knows, or that outlived its record.
local function drop(id)
  unlease(id)
  redis.call('ZREM', KEY.queue, id)
  redis.call('ZREM', KEY.state .. 'queued', id)
  redis.call('ZREM', KEY.state .. 'running', id)
  redis.call('DEL', KEY.job .. id, KEY.retry .. id)
end

-- Prolongs the keys of a run that waits for its session's turn or for an operator, and lets a later claim check it again. Claims of
-- API processes do so, too: there may be no worker with a free slot.
local function wait_on(id, run)
  redis.call('ZADD', KEY.queue, score(now + LANE_CHECK_MS), id)
  redis.call('PEXPIRE', KEY.run .. id, run.keep)
  redis.call('PEXPIRE', KEY.job .. id, run.keep)
  redis.call('PEXPIRE', KEY.lane .. run.session, run.keep)
  redis.call('PEXPIRE', KEY.session .. run.session, run.keep)
  redis.call('PEXPIRE', KEY.state .. 'queued', run.keep)
end

-- Moves a paused run behind the runs that a worker may claim, and notes its place in the queue. `resume` gives that back.
local function hold(id, run)
  local parked = KEY.parked .. (paused[run.agent] and run.agent or ALL)
  local place = redis.call('ZSCORE', KEY.parked .. ALL, id) or redis.call('ZSCORE', KEY.queue, id) or score(now)
  redis.call('ZADD', parked, 'NX', place, id)
  redis.call('PEXPIRE', parked, run.keep)
  wait_on(id, run)
  held = held + 1
end

-- Whether the run may go on waiting for a worker. 0: its queue timeout has not begun, as its session's turn has not come.
local function patient(run)
  local until_ms = tonumber(run.queued_until)
  return until_ms == 0 or now < until_ms
end

-- Whether the owner may claim the run now. `named` is true when the owner claims this run only, in order to end it.
local function due(id, run, named)
  local stopped = paused[run.agent] or paused[ALL]
  if run.state == 'running' then
    return redis.call('EXISTS', KEY.lock .. id) == 0 and (named or not stopped)
  end
  local counted = tonumber(run.queued_until) > 0
  if named and run.cancel then
    return true
  end
  if stopped and counted then
    hold(id, run) -- its queue timeout does not end it during a pause
    return false
  end
  if named and counted then
    return not patient(run)
  end
  if turn(run.session) ~= id then
    wait_on(id, run)
    return false
  end
  if named or stopped then
    ready(id, now) -- the run before it is gone without a settlement
    return false
  end
  return true
end

local FIELDS = {'v', 'state', 'agent', 'session', 'cancel', 'queued_until', 'spec', 'keep', 'policy', 'ready', 'queued'}

local function read(id)
  local values, run = redis.call('HMGET', KEY.run .. id, unpack(FIELDS)), {}
  for i, name in ipairs(FIELDS) do
    run[name] = values[i]
  end
  return run
end

-- Whether this claim starts an agent. Only this function decides that, and Python uses its result (shared/ledger/takeover.py). For a
-- lost run Python decides by the log, and the script `begin` notes the start.
local function begins(from, run, named)
  return from == 'queued' and not named and not run.cancel and patient(run)
end

-- Claims the run if it is due. Returns whether it is still in the set in which `scan` found it.
local function take(id, named)
  local run = read(id)
  if not run.state or ENDS[run.state] then
    drop(id)
    return false
  end
  local policy = serves[run.agent] or serves['*'] or (named and (run.policy or '{}'))
  if not policy or tonumber(run.v) > CONTRACT then
    return true -- left for a worker that serves it, or for a newer release
  end
  if not due(id, run, named) then
    return run.state == 'running'
  end
  local from = move(id, 'running')
  local attempt = redis.call('HINCRBY', KEY.run .. id, 'attempt', 1)
  local tries = redis.call('HINCRBY', KEY.run .. id, 'tries', 1)
  local token = owner .. '/' .. attempt
  redis.call('HSET', KEY.run .. id, 'worker', owner, 'token', token, 'policy', policy)
  local begun = begins(from, run, named)
  if begun then
    begin(id, attempt, now)
  end
  redis.call('PEXPIRE', KEY.run .. id, run.keep)
  redis.call('SET', KEY.lock .. id, token, 'PX', lease)
  redis.call('ZREM', KEY.queue, id)
  redis.call('ZREM', KEY.parked .. run.agent, id)
  redis.call('ZREM', KEY.parked .. ALL, id)
  redis.call('ZADD', KEY.leases, score(now + lease), id)
  if from == 'queued' and not named then
    tally(now, 'wait:' .. math.ceil(2 * math.log(math.max(0, now - (run.ready or now)) + 1) / math.log(2)), 1)
  end
  claimed[#claimed + 1] = {
    id, from, token, attempt, tries, run.cancel or '', begun and 1 or 0, whole(now), run.spec, policy, run.queued,
    run.ready or '0'}
  return false
end

-- Reads pages, so that runs of agents that this owner does not serve cannot hide the runs behind them.
local function scan(zset)
  local page, passed = 100, 0
  while passed < 1000 and held < HELD_AT_ONCE do
    local ids = redis.call('ZRANGEBYSCORE', zset, '-inf', score(now), 'LIMIT', passed, page)
    for _, id in ipairs(ids) do
      if #claimed == most then
        return
      end
      if take(id, false) then
        passed = passed + 1
      end
    end
    if #ids < page then
      return
    end
  end
end

if only ~= '' then
  take(only, true)
else
  watch(now, lease)
  scan(KEY.leases) -- first: a lost run has waited longest
  scan(KEY.queue)
  if held >= HELD_AT_ONCE then
    ring((next(serves))) -- there may be other runs behind the held ones
  end
end
return claimed
