-- Counts the runs that wait and the runs that run. ARGV: 1 the most agents. Returns {now, runs that wait for a worker or behind a pause,
-- runs that wait for their session's turn, runs that run}, of the whole service, then a row for each agent with runs:
-- {agent, runs that wait for a worker, runs that wait for their session's turn, runs that run, when the first of those that wait for a
-- worker became claimable (0: none waits), runs that a pause holds back}.
local paused = pauses()
local rows = {{
  whole(now), redis.call('ZCARD', KEY.deadlines), redis.call('ZCARD', KEY.checks), redis.call('ZCARD', KEY.leases)}}
for _, agent in ipairs(redis.call('ZREVRANGE', KEY.agents, 0, ARGV[1] - 1)) do
  local claimable = redis.call('ZCARD', KEY.ready .. agent)
  local first = redis.call('ZRANGE', KEY.ready .. agent, 0, 0, 'WITHSCORES')[2]
  local in_line, running = redis.call('ZCARD', KEY.line .. agent), redis.call('ZCARD', KEY.leased .. agent)
  if claimable + in_line + running > 0 then
    local held = paused[agent] or paused[ALL]
    rows[#rows + 1] = {
      agent, held and 0 or claimable, in_line, running, not held and first and whole(first) or 0, held and claimable or 0}
  end
end
return rows
