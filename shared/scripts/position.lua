-- How many runs a worker may claim before this one. ARGV: 1 id. Answers -1 when the run does not wait for a worker.
local at = redis.call('ZSCORE', KEY.queue, ARGV[1])
if not at or tonumber(at) > clock() then
  return -1
end
return redis.call('ZCOUNT', KEY.queue, '-inf', '(' .. at)
