-- Counts the runs that wait and the runs that run. ARGV: 1 the most runs whose agent it reads. Returns {now}, then a row for each agent:
-- {agent, runs that wait for a worker, runs that wait for their session's turn, runs that run, when the first of those that wait for a
-- worker became claimable (0: none waits), runs that a pause holds back}.
-- Queued runs behind the first ARGV[1] count under the agent '', as if each waited for a worker.
local now, most = clock(), tonumber(ARGV[1])
local rows, by_agent, paused = {{whole(now)}}, {}, {}
for _, name in ipairs(redis.call('HKEYS', KEY.paused)) do
  paused[name] = true
end

local function row(agent)
  if not by_agent[agent] then
    by_agent[agent] = {agent, 0, 0, 0, 0, 0}
    rows[#rows + 1] = by_agent[agent]
  end
  return by_agent[agent]
end

local function count(agent, place, more)
  local counted = row(agent)
  counted[place] = counted[place] + more
  return counted
end

local page = redis.call('ZRANGE', KEY.queue, 0, most - 1, 'WITHSCORES')
for i = 1, #page, 2 do
  local run = redis.call('HMGET', KEY.run .. page[i], 'agent', 'queued_until')
  if run[2] == '0' then
    count(run[1], 3, 1)
  elseif run[2] and (paused[run[1]] or paused[ALL]) then
    count(run[1], 6, 1)
  elseif run[2] then -- not a job that arq enqueued without the ledger, nor a queue entry whose record has expired
    local waits = count(run[1], 2, 1)
    waits[5] = waits[5] == 0 and tonumber(whole(page[i + 1])) or waits[5]
  end
end
local behind = redis.call('ZCARD', KEY.queue) - #page / 2
if behind > 0 then
  count('', paused[ALL] and 6 or 2, behind)
end

for _, id in ipairs(redis.call('ZRANGE', KEY.leases, 0, most - 1)) do
  local agent = redis.call('HGET', KEY.run .. id, 'agent')
  if agent then
    count(agent, 4, 1)
  end
end
local others = redis.call('ZCARD', KEY.leases) - most
if others > 0 then
  count('', 4, others)
end
return rows
