-- Adds events. ARGV: 3 channel, 4 number of the first, 5 characters of assistant text so far, 6 number of the last assistant message,
-- 7 ... events. Answers 'ok', 'fenced', 'closed' or 'lost'.
return write(ARGV[3], tonumber(ARGV[4]), 7, {'chars', ARGV[5], 'message', ARGV[6]}) or 'ok'
