-- Returns the sessions whose runs have not ended, the longest lanes first. ARGV: 1 the most sessions, 2 the most runs to read in each
-- state, 3 the most runs of each lane. Returns for each session: {session, agent, owner, length of its lane, its first runs ...}.
local seen, lanes = {}, {}
for _, state in ipairs({'running', 'queued'}) do
  for _, id in ipairs(redis.call('ZRANGE', KEY.state .. state, 0, ARGV[2] - 1)) do
    local run = record(id, 'session', 'agent', 'owner')
    if run[1] and run[2] and run[3] and not seen[run[1]] then
      seen[run[1]] = true
      lanes[#lanes + 1] = {run[1], run[2], run[3], redis.call('LLEN', KEY.lane .. run[1])}
    end
  end
end
table.sort(lanes, function(one, other)
  return one[4] > other[4] or (one[4] == other[4] and one[1] < other[1])
end)

local answer = {}
for i = 1, math.min(#lanes, tonumber(ARGV[1])) do
  local lane = lanes[i]
  for _, id in ipairs(redis.call('LRANGE', KEY.lane .. lane[1], 0, ARGV[3] - 1)) do
    lane[#lane + 1] = id
  end
  answer[#answer + 1] = lane
end
return answer
