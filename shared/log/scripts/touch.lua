-- Restarts the time to live of logs. KEYS: the streams and heads of any number of runs.
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, keep)
end
