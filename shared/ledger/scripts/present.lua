-- Returns the list of workers or of API processes: 'now', the time in ms by which the caller computes ages, then name and announcement
-- in turn. ARGV: 1 'workers' or 'webs'.
local all = redis.call('HGETALL', KEY[ARGV[1]])
table.insert(all, 1, 'now')
table.insert(all, 2, whole(now))
return all
