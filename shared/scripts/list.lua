-- A page of an owner's runs, newest first. ARGV: 1 owner, 2 cursor ('' or what the last page answered), 3 most, then pairs of a record's
-- field and the value it must have. Answers {cursor of the next page or '', run ids ...}.
local cursor, most = ARGV[2], tonumber(ARGV[3])
local owned = KEY.owned .. ARGV[1]
local before = cursor ~= '' and '(' .. cursor or '+inf'
local found, last, looked = {''}, '', 0

local function fits(id)
  for i = 4, #ARGV, 2 do
    if redis.call('HGET', KEY.run .. id, ARGV[i]) ~= ARGV[i + 1] then
      return false
    end
  end
  return redis.call('EXISTS', KEY.run .. id) == 1
end

while looked < 10000 do
  local page = redis.call('ZREVRANGEBYSCORE', owned, before, '-inf', 'WITHSCORES', 'LIMIT', 0, 200)
  for i = 1, #page, 2 do
    if #found > most then
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
