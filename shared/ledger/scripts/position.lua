-- Returns how many runs are ahead of this one: among those of its agent, or in its lane while it waits for its session's turn; -1 when
-- the run does not wait. The owners of an agent's runs are served in turn, so of each other owner's runs as many are ahead as of its own,
-- and one more when that owner is served first. ARGV: 1 id. The script only reads, so it leaves the repair of a lane to other scripts.
local id = ARGV[1]
local OWNERS = 200 -- others beyond these count as if they had no run
local run = named(id, PLACED)
if run.state ~= 'queued' or not run.agent or not run.owner or not run.session then
  return -1
end

if run.queued_until ~= '0' then
  local own = redis.call('ZRANK', waiting(run.agent, run.owner), id)
  if not own then
    return -1
  end
  local ahead, first = own, 1
  for _, other in ipairs(redis.call('ZRANGE', KEY.owners .. run.agent, 0, OWNERS)) do
    if other == run.owner then
      first = 0
    else
      ahead = ahead + math.min(redis.call('ZCARD', waiting(run.agent, other)), own + first)
    end
  end
  return ahead
end

local before = 0
for _, other in ipairs(redis.call('LRANGE', KEY.lane .. run.session, 0, -1)) do
  if other == id then
    break
  end
  local state = record(other, 'state')[1]
  if state and not ENDS[state] then
    before = before + 1
  end
end
return before
