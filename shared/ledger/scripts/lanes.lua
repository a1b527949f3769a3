-- Returns the sessions whose runs have not ended, the longest lanes first. ARGV: 1 the most sessions, 2 the most runs to read in each
-- state, 3 the most runs of each lane. Returns for each session: {session, agent, owner, length of its lane, its first runs ...}.
local seen, lanes = {}, {}
for _, state in ipairs({'running', 'queued'}) do
  for _, id in ipairs(redis.call('ZRANGE', KEY.state .. state, 0, ARGV[2] - 1)) do
    local record = redis.call('HMGET', KEY.run .. id, 'session', 'agent', 'owner')
    if record[1] and not seen[record[1]] then
      seen[record[1]] = true
      lanes[#lanes + 1] = {record[1], record[2], record[3], redis.call('LLEN', KEY.lane .. record[1])}
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
