"""Parameters that several endpoints about runs share."""

from __future__ import annotations

from api.http.parameters import Cursor, Number, OneOf, Text
from shared.run.states import State

RUN_ID = Text("run_id", "`id` of the run; also `X-Run-Id` of a chat completion.", place="path")
STATE = OneOf("state", "Only runs in this state.", State)
AGENT = Text("agent", "Only runs of this agent.")
SESSION = Text("session", "Only runs of this session.")
CURSOR = Cursor("cursor", "`next_cursor` of the page before.")
AFTER = Number("after", "Number of the last event that came.")
LAST_EVENT_ID = Number("Last-Event-ID", "The same; counts more. Browsers send it by themselves.", place="header")
