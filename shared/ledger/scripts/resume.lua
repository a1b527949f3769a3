-- Ends a pause. Gives the runs that the pause held back their places in the queue again, and restarts their patience.
-- ARGV: 1 agent, or ALL, 2 the most runs to give back at once, 3 the entry for the audit. Returns how many runs still lack their places.
local parked, now = KEY.parked .. ARGV[1], clock()
if redis.call('HDEL', KEY.paused, ARGV[1]) == 1 then
  audit(ARGV[3])
end
local places = redis.call('ZRANGE', parked, 0, ARGV[2] - 1, 'WITHSCORES')
for i = 1, #places, 2 do
  local id = places[i]
  local record = redis.call('HMGET', KEY.run .. id, 'state', 'patience', 'bell')
  if record[1] == 'queued' then
    redis.call('ZADD', KEY.queue, places[i + 1], id)
    redis.call('HSET', KEY.run .. id, 'queued_until', whole(now + record[2]))
    if i < 2 * BELL_LENGTH then
      ring(record[3])
    end
  end
end
redis.call('ZREMRANGEBYRANK', parked, 0, ARGV[2] - 1)
-- Runs that no worker has read since the pause are still in their places; they only need a ring.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEY.queue, '-inf', score(now), 'LIMIT', 0, BELL_LENGTH)) do
  local bell = redis.call('HGET', KEY.run .. id, 'bell')
  if bell then
    ring(bell)
  end
end
return redis.call('ZCARD', parked)
