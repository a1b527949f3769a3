"""What one attempt has to do with its agent's own conversation: which one it may go on in, and which one it leaves."""

from __future__ import annotations

from shared.run.conversation import Resumed, StoredConversation, digest
from shared.run.events import Completed, Terminal
from shared.run.run import Run
from worker.agents.protocol import AgentConversation, EarlierConversation


class AttemptConversation:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._system = digest(run.extra_system_prompt)
        self._begun = False
        self._last: AgentConversation | None = None
        self.earlier: EarlierConversation | None = None  # what the agent may go on in

    def begin(self, kept: StoredConversation | None) -> None:
        """The agent is about to be asked. `kept` holds the session's transcript."""
        self._begun = True
        # A system prompt that was told cannot be taken back, so that a run without one does not go on.
        if kept and kept.agent_id == self._run.agent_id and (self._system or not kept.system):
            told = kept.system == self._system
            self.earlier = EarlierConversation(id=kept.id, place=kept.place, spent=kept.spent, system_told=told)

    def note(self, own: AgentConversation) -> None:
        self._last = own

    @property
    def resumed(self) -> Resumed | None:
        if not self._begun:
            return None
        if self.earlier is None:
            return Resumed.NO
        return Resumed.YES if self._last and self._last.id == self.earlier.id else Resumed.FELL_BACK

    def left(self, terminal: Terminal) -> StoredConversation | None:
        """The conversation that the session's next run may go on in: only what was told whole is kept."""
        own = self._last
        if not (self._begun and own and isinstance(terminal, Completed)):
            return None
        agent_id = self._run.agent_id
        return StoredConversation(id=own.id, agent_id=agent_id, place=own.place, spent=own.spent, system=self._system)
