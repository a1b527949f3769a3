"""The agent's own conversation in one attempt: which one the agent may continue, and which one the attempt leaves."""

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
        self.earlier: EarlierConversation | None = None  # the one that the agent may continue

    def begin(self, kept: StoredConversation | None) -> None:
        """The agent is about to start. `kept` is a conversation that holds the session's whole transcript."""
        self._begun = True
        # A conversation cannot lose its system prompt, so a run without one does not continue a conversation with one.
        if kept and kept.agent_id == self._run.agent_id and (self._system or not kept.system):
            has_system = kept.system == self._system
            self.earlier = EarlierConversation(
                id=kept.id, place=kept.place, spent=kept.spent, has_system_prompt=has_system
            )

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
        """The conversation that the session's next run may continue. Only a completed run leaves one."""
        own = self._last
        if not (self._begun and own and own.complete and isinstance(terminal, Completed)):
            return None
        agent_id = self._run.agent_id
        return StoredConversation(id=own.id, agent_id=agent_id, place=own.place, spent=own.spent, system=self._system)
