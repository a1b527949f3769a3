-- The list of workers with the time by which to judge it: 'now', ms, then worker and announcement in turn.
local all = redis.call('HGETALL', KEY.workers)
table.insert(all, 1, 'now')
table.insert(all, 2, whole(clock()))
return all
