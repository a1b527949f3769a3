# An agent as a command, with a child of its own that outlives it unless somebody ends it. Heeds SIGTERM.
read -r seed shape
echo "start $RUNRELAY_RUN_ID $$ $(date +%s%3N)" >> "$CHAOS_JOURNAL"
sleep 20 &
echo "one $seed"
case $shape in
  shell) sleep 0.2 ;;
  *) sleep 30 ;;
esac
echo "two $seed"
echo "end $RUNRELAY_RUN_ID $$ $(date +%s%3N)" >> "$CHAOS_JOURNAL"
