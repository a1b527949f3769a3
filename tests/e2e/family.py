"""An agent of kind `command`: it starts a process in a session of its own, prints both pids, and keeps running."""

import os
import subprocess
import time

child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
