-- Accepts a run, or refuses it with a reason. ARGV: 1 the request, as JSON. Returns {verdict, run id}.
local request = cjson.decode(ARGV[1])
local key = KEY.run .. request.id

-- The caller repeats a request whose answer was lost on the way.
if redis.call('EXISTS', key) == 1 then
  return {'accepted', request.id}
end

-- A client that tries three times gets one run. A request with a known key joins the run of that key, and a retry joins the run of its
-- first try. A first try joins the run of its own retry, if the retry has overtaken it because the process that took the first try was
-- paused. Only one first try may do so: the next request with this body is a new one. The hash keeps the run id of that first try
-- (`overtaken`), because its caller repeats it when the answer was lost.
local once = KEY.once .. request.once
keep_only('hash', once)
keep_only('string', KEY.session .. request.session)
keep_only('list', KEY.lane .. request.session)
local before = redis.call('HMGET', once, 'id', 'digest', 'overtook', 'overtaken', 'until')
local join = request.join and now < number(before[5], math.huge) -- an earlier release wrote no `until`
local overtaken = request.counted and now < tonumber(before[3] or 0) and (before[4] or request.id) == request.id
if (join or overtaken) and before[1] and redis.call('EXISTS', KEY.run .. before[1]) == 1 then
  if not join then
    redis.call('HSET', once, 'overtaken', request.id)
  end
  if before[2] ~= request.digest then
    return {'key_reused', before[1]}
  end
  return {'joined', before[1]}
end

local session = KEY.session .. request.session
local holder = redis.call('GET', session)
if holder and holder ~= request.owner then
  return {'session_taken', ''}
end

local lane = KEY.lane .. request.session
if turn(request.session) and redis.call('LLEN', lane) > request.max_session then
  return {'full_session', ''}
end
if redis.call('ZCARD', KEY.deadlines) + redis.call('ZCARD', KEY.checks) >= request.max_total then
  return {'full_total', ''}
end

-- An operator requests that an earlier run be run again, as this one. With `again_once`, a run that was run again before stays with its
-- first repetition.
if request.again_of ~= '' then
  local again = request.again_once and redis.call('HGET', KEY.run .. request.again_of, 'again')
  if again then
    return {'joined', again}
  end
  if redis.call('EXISTS', KEY.run .. request.again_of) == 1 then
    redis.call('HSET', KEY.run .. request.again_of, 'again', request.id)
  end
end
audit(request.audit)

-- A run must not expire while it waits or runs: each check of its lane and each renewal of its lease sets this time again.
local keep = whole(request.keep + request.patience)
redis.call('HSET', key,
  'v', CONTRACT, 'state', 'queued', 'agent', request.agent, 'session', request.session, 'owner', request.owner, 'bell', request.bell,
  'spec', request.spec, 'keep', keep, 'patience', whole(request.patience), 'attempt', 0, 'tries', 0, 'queued', whole(wall),
  'queued_until', 0, 'at', score(wall), 'created', request.created, 'foreground', request.foreground)
redis.call('PEXPIRE', key, keep)
redis.call('SET', session, request.owner, 'PX', keep)
redis.call('HDEL', once, 'overtaken')
redis.call('HSET', once,
  'id', request.id, 'digest', request.digest, 'overtook', whole(request.join and now + OVERTAKE_MS or 0),
  'until', whole(now + request.once_ms))
redis.call('PEXPIRE', once, whole(request.once_ms + CLOCK_STEP_MS))
for _, index in ipairs({KEY.runs, KEY.owned .. request.owner, KEY.agent .. request.agent, KEY.state .. 'queued'}) do
  redis.call('ZADD', index, score(wall), request.id)
  prolong_key(index, keep)
end
-- Not the index of its state: a run may wait behind a pause for longer than the other indexes keep it.
for _, index in ipairs({KEY.runs, KEY.owned .. request.owner, KEY.agent .. request.agent}) do
  redis.call('ZREMRANGEBYSCORE', index, '-inf', score(wall - keep))
end
list(KEY.agents, score(now), request.agent, keep)
redis.call('ZREMRANGEBYSCORE', KEY.agents, '-inf', score(now - keep))
tally('accepted', 1)
if request.grace > 0 then
  redis.call('ZADD', KEY.attended, score(now + request.grace), request.id)
end

redis.call('SET', KEY.job .. request.id, request.job, 'PX', keep)
redis.call('RPUSH', lane, request.id)
prolong_key(lane, keep)
if turn(request.session) == request.id then
  ready(request.id)
else
  wait_in_line(request.id, {agent = request.agent, keep = keep})
  promote(request.session)
end
return {'accepted', request.id}
