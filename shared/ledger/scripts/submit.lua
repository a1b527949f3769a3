-- Accepts a run, or says why not. ARGV: 1 the ask, as JSON. Answers {verdict, run id}.
local ask = cjson.decode(ARGV[1])
local now = clock()
local record = KEY.run .. ask.id

-- The same ask again: its answer was lost on the way.
if redis.call('EXISTS', record) == 1 then
  return {'accepted', ask.id}
end

-- Once, not three times: the same key attaches to the run it made, and a retry to the run of its first try. So does a first try to
-- the run of its own retry, which overtakes it when the process that took the first try is paused. There was one first try: the next
-- request with this body is another one. It is known by the id it came with, because it comes again when its answer was lost.
local once = KEY.once .. ask.once
local before = redis.call('HMGET', once, 'id', 'digest', 'overtook', 'overtaken')
local overtaken = ask.counted and now < tonumber(before[3] or 0) and (before[4] or ask.id) == ask.id
if (ask.join or overtaken) and before[1] and redis.call('EXISTS', KEY.run .. before[1]) == 1 then
  if not ask.join then
    redis.call('HSET', once, 'overtaken', ask.id)
  end
  if before[2] ~= ask.digest then
    return {'key_reused', before[1]}
  end
  return {'joined', before[1]}
end

local session = KEY.session .. ask.session
local holder = redis.call('GET', session)
if holder and holder ~= ask.owner then
  return {'session_taken', ''}
end

local lane = KEY.lane .. ask.session
if turn(ask.session) and redis.call('LLEN', lane) > ask.max_session then
  return {'full_session', ''}
end
if redis.call('ZCARD', KEY.queue) >= ask.max_total then
  return {'full_total', ''}
end

-- An operator has a run run again, as this one. Where it shall be so once at most, the first one counts.
if ask.again_of ~= '' then
  local again = ask.again_once and redis.call('HGET', KEY.run .. ask.again_of, 'again')
  if again then
    return {'joined', again}
  end
  if redis.call('EXISTS', KEY.run .. ask.again_of) == 1 then
    redis.call('HSET', KEY.run .. ask.again_of, 'again', ask.id)
  end
end
audit(ask.audit)

-- A run that waits long must not vanish while it waits; each look at its lane and each renewal sets this anew.
local keep = whole(ask.keep + ask.patience)
redis.call('HSET', record,
  'v', CONTRACT, 'state', 'queued', 'agent', ask.agent, 'session', ask.session, 'owner', ask.owner, 'bell', ask.bell,
  'spec', ask.spec, 'keep', keep, 'patience', whole(ask.patience), 'attempt', 0, 'tries', 0, 'queued', whole(now), 'queued_until', 0,
  'at', score(now), 'created', ask.created, 'foreground', ask.foreground)
redis.call('PEXPIRE', record, keep)
redis.call('SET', session, ask.owner, 'PX', keep)
redis.call('HDEL', once, 'overtaken')
redis.call('HSET', once, 'id', ask.id, 'digest', ask.digest, 'overtook', whole(ask.join and now + OVERTAKE_MS or 0))
redis.call('PEXPIRE', once, whole(ask.once_ms))
for _, index in ipairs({KEY.runs, KEY.owned .. ask.owner, KEY.agent .. ask.agent, KEY.state .. 'queued'}) do
  redis.call('ZADD', index, score(now), ask.id)
  redis.call('PEXPIRE', index, keep)
end
-- Not that of its state: a run may wait behind a pause for longer than runs are kept.
for _, index in ipairs({KEY.runs, KEY.owned .. ask.owner, KEY.agent .. ask.agent}) do
  redis.call('ZREMRANGEBYSCORE', index, '-inf', score(now - keep))
end
tally(now, 'accepted', 1)
if ask.grace > 0 then
  redis.call('ZADD', KEY.attended, score(now + ask.grace), ask.id)
end

redis.call('SET', KEY.job .. ask.id, ask.job, 'PX', keep)
redis.call('RPUSH', lane, ask.id)
redis.call('PEXPIRE', lane, keep)
if turn(ask.session) ~= ask.id then
  redis.call('ZADD', KEY.queue, score(now + LANE_CHECK_MS), ask.id)
end
promote(ask.session, now)
return {'accepted', ask.id}
