-- Ends a pause, after it has restarted the patience of the runs that the pause held back, a page at a time.
-- ARGV: 1 agent, or ALL, 2 the entry for the audit, 3 the place behind which this page begins, '-inf' at first, 4 the length of a page.
-- Returns the place behind which the next page begins, or '' when the pause has ended.
local agent, after = ARGV[1], ARGV[3]
local list_of = agent == ALL and KEY.queue or KEY.ready .. agent
local page = redis.call('ZRANGEBYSCORE', list_of, after, score(now), 'WITHSCORES', 'LIMIT', 0, ARGV[4])
for i = 1, #page, 2 do
  local id = page[i]
  local run = record(id, 'state', 'queued_until', 'patience')
  if run[1] == 'queued' and number(run[2], 0) > 0 and number(run[3]) then
    redis.call('HSET', KEY.run .. id, 'queued_until', whole(now + run[3]))
    redis.call('ZADD', KEY.deadlines, score(now + run[3]), id)
  end
end
if #page == 2 * tonumber(ARGV[4]) then
  return '(' .. page[#page]
end
if redis.call('HDEL', KEY.paused, agent) == 1 then
  audit(ARGV[2])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', list_of, '-inf', score(now), 'LIMIT', 0, BELL_LENGTH)) do
  local bell = record(id, 'bell')[1]
  if bell then
    ring(bell)
  end
end
return ''
