-- A page of the runs that fit, newest first. ARGV: 1 what is asked, as JSON {cursor, most, look, since, to, prefix, where}.
-- Answers {cursor of the next page or '', run ids ...}. A page may be short because enough runs were looked at; its cursor goes on.
local ask = cjson.decode(ARGV[1])
local INDEXES = {owner = KEY.owned, agent = KEY.agent, state = KEY.state}

-- Every run that fits is in each of these, and the shortest has the fewest others; but runs that have not ended are for certain in that of
-- their state only: they may wait for longer than the others keep them.
local index, length = KEY.runs, redis.call('ZCARD', KEY.runs)
local fields, values = {'state'}, {}
for field, value in pairs(ask.where) do
  fields[#fields + 1], values[#fields + 1] = field, value
  if INDEXES[field] then
    local own = field == 'state' and not ENDS[value] and -1 or redis.call('ZCARD', INDEXES[field] .. value)
    if own <= length then
      index, length = INDEXES[field] .. value, own
    end
  end
end

local function fits(id)
  if string.sub(id, 1, #ask.prefix) ~= ask.prefix then
    return false
  end
  local record = redis.call('HMGET', KEY.run .. id, unpack(fields))
  for i = 2, #fields do
    if record[i] ~= values[i] then
      return false
    end
  end
  return record[1]
end

local before = ask.cursor ~= '' and '(' .. ask.cursor or ask.to
local found, last, looked = {''}, '', 0
while looked < ask.look do
  local page = redis.call('ZREVRANGEBYSCORE', index, before, ask.since, 'WITHSCORES', 'LIMIT', 0, 200)
  for i = 1, #page, 2 do
    if #found > ask.most then
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
