"""The smallest agent that is a command: it reads the prompt from stdin and prints the answer."""

import sys

words = len(sys.stdin.read().split())
print(f"{words} words", end="")
