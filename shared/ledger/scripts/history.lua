-- Returns the counts of the last spans of time, the newest last. ARGV: 1 name of the span, 2 how many.
-- Returns for each span: {when it began, then field and count in turn}.
local ms = TALLIES[ARGV[1]].ms
local last = math.floor(wall / ms)
local answer = {}
for number = last - ARGV[2] + 1, last do
  local counts = redis.call('HGETALL', KEY.tally .. ARGV[1] .. ':' .. whole(number))
  table.insert(counts, 1, whole(number * ms))
  answer[#answer + 1] = counts
end
return answer
