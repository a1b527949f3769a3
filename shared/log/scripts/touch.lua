-- Keeps logs alive. KEYS: the streams and heads of any number of runs.
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, keep)
end
