-- Replaces the stream of a closed log by packed entries. ARGV: 1 has no meaning here, because a closed log has no writer; 3 number of the
-- last event, 4 ... the entries, for each the number of its last event, its field and its value.
-- Returns 'ok', or 'lost' when the log is not closed or has another last event.
local known = redis.call('HMGET', head, 'seq', 'terminal')
if not known[2] or known[1] ~= ARGV[3] then
  return 'lost'
end
redis.call('DEL', stream)
for i = 4, #ARGV, 3 do
  redis.call('XADD', stream, '0-' .. ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
redis.call('PEXPIRE', stream, keep)
return 'ok'
