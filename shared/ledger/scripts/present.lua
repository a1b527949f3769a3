-- The list of workers, or of web processes, with the time by which to judge it: 'now', ms, then name and announcement in turn.
-- ARGV: 1 'workers' or 'webs'.
local all = redis.call('HGETALL', KEY[ARGV[1]])
table.insert(all, 1, 'now')
table.insert(all, 2, whole(clock()))
return all
