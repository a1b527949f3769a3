"""The smallest agent as a command: the prompt comes on stdin, what is printed is the answer."""

import sys

words = len(sys.stdin.read().split())
print(f"{words} words", end="")
