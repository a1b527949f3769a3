-- Adds events. ARGV: 3 channel, 4 number of the first, 5 characters of assistant text so far, 6 number of the last assistant message,
-- 7 calls of the client's tools so far, 8 ... events. Answers 'ok', 'fenced', 'closed' or 'lost'.
return write(ARGV[3], tonumber(ARGV[4]), 8, {'chars', ARGV[5], 'message', ARGV[6], 'calls', ARGV[7]}) or 'ok'
