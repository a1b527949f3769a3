"""Agents of kind `command`: any executable, started once for each run."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType

from shared.run.conversation import digest
from shared.run.errors import RunError, SettingsError
from worker.agents.command.argument import with_prompt
from worker.agents.command.child import Child, Stdin, start_child
from worker.agents.command.cli_conversation import is_id, resume_or_restart, unsent, with_options
from worker.agents.command.command_config import CommandConfig
from worker.agents.command.formats.format_registry import FORMATS
from worker.agents.command.listening import Listener
from worker.agents.command.preflight import check_command, script_at
from worker.agents.command.presets import SESSION_WORKDIR
from worker.agents.command.process_family import GRACE_SECONDS, EndFamily, end_family
from worker.agents.command.prompt_text import render
from worker.agents.command.stdout_parsers import LinesParser, OutputParser, TextParser
from worker.agents.command.workdir import session_folder
from worker.agents.jsonl import AgentEventParser
from worker.agents.protocol import AgentConversation, AgentInput, AgentOutput

_OUTPUTS: Mapping[str, Callable[[], OutputParser]] = {
    "text": TextParser,
    "jsonl": lambda: LinesParser(AgentEventParser().parse_line),
    **FORMATS,
}


class CommandAgent:
    """Starts the command without a shell, gives it the prompt, and yields the events of its output.

    A command that keeps its own conversation continues it. When the command has lost the conversation, the agent starts
    it once more without it.

    The run fails as `agent_failed` when the command cannot be started, exits with another code than 0, or is killed.
    The end of its stderr is then the error's detail.
    """

    def __init__(
        self,
        config: CommandConfig,
        environment: Mapping[str, str],
        *,
        work_root: Path,
        end: EndFamily = end_family,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """Raises SettingsError when the executable or the fixed working directory is not there."""
        self._config = config
        self._environment = {name: environment[name] for name in config.env if name in environment}
        self._work_root = work_root
        self._folder = None if config.workdir in (None, SESSION_WORKDIR) else Path(config.workdir)
        self._command = _located((*config.command, *config.args), config.folder)
        self._end = end
        self._grace = grace
        if self._folder is not None and not self._folder.is_dir():
            raise SettingsError(f"workdir: {config.workdir} is not a directory")
        check_command(self._command, folder=config.folder, path=self._environment.get("PATH", os.defpath))

    async def run(self, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        async with self._workplace(input) as folder:
            place = self._place(folder)
            if input.earlier and not (self._config.resume and input.earlier.place == place and is_id(input.earlier.id)):
                input = input.model_copy(update={"earlier": None})
            async with aclosing(resume_or_restart(partial(self._execute, folder), input)) as outputs:
                async for output in outputs:
                    if not isinstance(output, AgentConversation):
                        yield output
                    elif self._config.resume:
                        yield output.model_copy(update={"place": place})

    def _place(self, folder: Path | None) -> str:
        """Identifies where a conversation is kept. CLIs find theirs by the directory, and one CLI would silently go on
        in the old directory."""
        return digest(self._config.output, str((folder or Path.cwd()).absolute()))

    async def _execute(self, folder: Path | None, input: AgentInput) -> AsyncGenerator[AgentOutput, None]:
        parser = _OUTPUTS[self._config.output]()
        async with self._child(folder, input) as child:
            listener = self.listener(child)
            try:
                while chunk := await listener.read(over=parser.over, busy=parser.busy):
                    for output in parser.feed(chunk):
                        listener.note(output)
                        yield output
                code = await listener.exit_code(over=parser.over)
                if not child.ended and parser.conversation:  # the command may not have stored its turn
                    yield parser.conversation.model_copy(update={"complete": False})
                self._config.limits.check(code)  # first: the parser would report an output that was cut off
                for output in parser.end():
                    yield output
                parser.ended(code)
            except RunError as failure:
                raise await self.explained(failure, child) from None

    def listener(self, child: Child) -> Listener:
        keys = self._config
        return Listener(child, silent_seconds=keys.silent_seconds, patience_seconds=keys.patience_seconds)

    def start(
        self,
        *,
        stdin: Stdin,
        command: Sequence[str] = (),
        folder: Path | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> AbstractAsyncContextManager[Child]:
        """A child with the agent's environment, `variables` and limits. It ends as all children of the agent end.

        `command` and `folder` default to the agent's own.
        """
        return start_child(
            self._config.limits.around(command or self._command),
            stdin=stdin,
            environment={**self._environment, **variables},
            folder=folder or self._folder,
            end=self._end,
            grace=self._grace,
        )

    def _workplace(self, input: AgentInput) -> AbstractAsyncContextManager[Path | None]:
        if self._config.workdir == SESSION_WORKDIR:
            return session_folder(self._work_root, input.session_key)
        return nullcontext(self._folder)

    def _child(self, folder: Path | None, input: AgentInput) -> AbstractAsyncContextManager[Child]:
        stdin, command = self._given(input)
        return self.start(stdin=stdin, command=command, folder=folder, variables=_named(input))

    def _given(self, input: AgentInput) -> tuple[bytes | None, Sequence[str]]:
        """The bytes for stdin, and the command line."""
        command = self._command
        if input.earlier:
            command = with_options(command, self._config.resume, input.earlier.id)
            input = unsent(input)
        elif not input.named_session:
            command = with_options(command, self._config.forget)
        match self._config.input:
            case "stdin":
                return render(input).encode(errors="replace"), command
            case "json":
                return input.model_dump_json(by_alias=True).encode() + b"\n", command
            case "argument":
                return None, with_prompt(command, render(input))

    async def explained(self, failure: RunError, child: Child) -> RunError:
        """`failure` with the child's stderr and limits in its detail, for operators."""
        limits = f"limits: {written}" if (written := str(self._config.limits)) else ""
        detail = "\n".join(filter(None, (failure.detail, await child.errors(), limits)))
        return RunError(failure.code, failure.message, detail)


def _named(input: AgentInput) -> dict[str, str]:
    return {
        "RUNRELAY_RUN_ID": input.run_id,
        "RUNRELAY_SESSION_KEY": input.session_key,
        "RUNRELAY_AGENT_ID": input.agent_id,
        **({"TRACEPARENT": input.traceparent} if input.traceparent else {}),
    }


def _located(command: Sequence[str], folder: Path) -> tuple[str, ...]:
    """`command` with relative paths of files in `folder` made absolute: a session has its own directory."""
    script = script_at(command)
    return tuple(
        str((folder / item).absolute()) if _is_file(folder, item, is_script=place == script) else item
        for place, item in enumerate(command)
    )


def _is_file(folder: Path, item: str, *, is_script: bool) -> bool:
    # Not Path.is_file: it raises when an item is too long for a path, such as the text of a script.
    return (is_script or "/" in item) and os.path.isfile(folder / item)  # noqa: PTH113
