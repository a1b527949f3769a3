# An agent that is a command. Its child outlives it unless the worker ends the child. It ends on SIGTERM.
read -r seed shape
echo "start $RUNRELAY_RUN_ID $$ $(date +%s%3N)" >> "$CHAOS_JOURNAL"
head -c 50000 /dev/zero > file || exit 1  # the disk is full
sleep 20 &
echo "one $seed"
case $shape in
  shell) sleep 0.2 ;;
  *) sleep 30 ;;
esac
echo "two $seed"
echo "end $RUNRELAY_RUN_ID $$ $(date +%s%3N)" >> "$CHAOS_JOURNAL"
