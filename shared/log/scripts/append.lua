-- Adds events. ARGV: 3 channel, 4 number of the first event, then where the log stands after the events: 5 characters of assistant text,
-- 6 number of the last assistant message, 7 calls of the client's tools; 8 ... the events. Returns 'ok', 'fenced', 'closed' or 'lost'.
return write(ARGV[3], tonumber(ARGV[4]), 8, {'chars', ARGV[5], 'message', ARGV[6], 'calls', ARGV[7]}) or 'ok'
