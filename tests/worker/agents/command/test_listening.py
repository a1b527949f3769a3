from __future__ import annotations

import json

import pytest

from shared.run.errors import ErrorCode, RunError
from shared.run.events import Delta
from tests.worker.agents.asking import asked, gone, said, script, text
from tests.worker.agents.command.test_command_agent import failure

pytestmark = pytest.mark.slow

RESULT = {"type": "result", "subtype": "success", "is_error": False, "result": "Done."}
TASK = {"type": "system", "subtype": "task_started", "task_id": "t"}
TASK_ENDED = {"type": "system", "subtype": "task_notification", "task_id": "t"}
STAYS = "import time; time.sleep(600)"


def printing(*lines: object) -> str:
    return "".join(f"print({json.dumps(json.dumps(line))}, flush=True);" for line in lines)


async def test_a_command_that_has_told_its_end_and_stays_loses_no_answer() -> None:
    agent = script(printing(RESULT) + STAYS, output="claude", patience_seconds=0.2)
    assert text(await said(agent, asked())) == "Done."


async def test_one_that_closes_its_stdout_and_stays_loses_none_either() -> None:
    code = printing(RESULT) + "import os; os.close(1);" + STAYS
    assert text(await said(script(code, output="claude", patience_seconds=0.2), asked())) == "Done."


async def test_work_in_the_background_is_waited_for() -> None:
    """The command stays for longer than the patience, and then tells more."""
    later = f"import time; time.sleep(1.8); {printing(TASK_ENDED, {**RESULT, 'result': 'It is done.'})}"
    code = printing(TASK, {**RESULT, "result": "I wait."}) + later
    agent = script(code, output="claude", patience_seconds=0.2, silent_seconds=1.5)
    assert text(await said(agent, asked())) == "I wait.\n\nIt is done."


async def test_what_a_command_has_not_told_to_be_its_end_is_none() -> None:
    failed = await failure(script(printing({"delta": "a"}) + STAYS, output="jsonl", silent_seconds=0.3))
    assert failed.code is ErrorCode.AGENT_SILENT


async def test_a_silent_command_fails_its_run_and_ends() -> None:
    code = "import os; print(os.getpid(), flush=True);" + STAYS
    deltas: list[str] = []
    agent = script(code, silent_seconds=1.5)
    with pytest.raises(RunError, match=r"no sign of life for 1\.5 seconds"):
        async for event in agent.run(asked()):
            deltas += [event.delta] if isinstance(event, Delta) else []
    assert gone(int("".join(deltas)))


async def test_stderr_is_a_sign_of_life() -> None:
    code = "import sys, time; [(print('.', file=sys.stderr, flush=True), time.sleep(0.3)) for _ in '123456']"
    code += "; print('a')"
    assert text(await said(script(code, silent_seconds=1.2), asked())) == "a\n"


async def test_a_silent_command_that_has_closed_its_stdout_fails_its_run() -> None:
    failed = await failure(script("import os; os.close(1);" + STAYS, silent_seconds=0.3))
    assert failed.code is ErrorCode.AGENT_SILENT
