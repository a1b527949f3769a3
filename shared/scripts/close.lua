-- Adds the last events and the terminal record. ARGV as append's, but 7 is the record and 8 ... are the events.
-- Answers 'ok', 'fenced', 'closed' or 'lost'.
return write(ARGV[3], tonumber(ARGV[4]), 8, {'chars', ARGV[5], 'message', ARGV[6], 'terminal', ARGV[7]}) or 'ok'
