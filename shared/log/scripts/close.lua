-- Adds the last events and the terminal record. ARGV as in append.lua, but 8 is the record and 9 ... are the events.
-- Returns 'ok', 'fenced', 'closed' or 'lost'.
local refused = write(ARGV[3], tonumber(ARGV[4]), 9, {'chars', ARGV[5], 'message', ARGV[6], 'calls', ARGV[7], 'terminal', ARGV[8]})
if not refused then
  refresh()
end
return refused or 'ok'
