-- Returns a page of the runs that match, newest first. ARGV: 1 the query, as JSON {cursor, most, look, since, to, prefix, where}.
-- Returns {cursor of the next page or '', run ids ...}. A page is short when the script has read `look` runs; its cursor goes on there.
local query = cjson.decode(ARGV[1])
local INDEXES = {owner = KEY.owned, agent = KEY.agent, state = KEY.state}

-- Each of these indexes holds every run that matches, so the shortest one has the fewest others. But a run that has not ended is certain
-- to be only in the index of its state: it may wait longer than the other indexes keep it.
local index, length = KEY.runs, redis.call('ZCARD', KEY.runs)
local fields, values = {'state'}, {}
for field, value in pairs(query.where) do
  fields[#fields + 1], values[#fields + 1] = field, value
  if INDEXES[field] then
    local own = field == 'state' and not ENDS[value] and -1 or redis.call('ZCARD', INDEXES[field] .. value)
    if own <= length then
      index, length = INDEXES[field] .. value, own
    end
  end
end

local function fits(id)
  if string.sub(id, 1, #query.prefix) ~= query.prefix then
    return false
  end
  local run = record(id, unpack(fields))
  for i = 2, #fields do
    if run[i] ~= values[i] then
      return false
    end
  end
  return run[1]
end

local before = query.cursor ~= '' and '(' .. query.cursor or query.to
local found, last, looked = {''}, '', 0
while looked < query.look do
  local page = redis.call('ZREVRANGEBYSCORE', index, before, query.since, 'WITHSCORES', 'LIMIT', 0, 200)
  for i = 1, #page, 2 do
    if #found > query.most then
      found[1] = last
      return found
    end
    looked, last = looked + 1, page[i + 1]
    before = '(' .. last
    if fits(page[i]) then
      found[#found + 1] = page[i]
    end
  end
  if #page < 400 then
    return found
  end
end
found[1] = last
return found
