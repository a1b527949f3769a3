from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.run.errors import SettingsError
from shared.run.model_params import OTHERS, PARAMS, TOOLS, USUAL
from shared.run.run import Policy
from worker.agents.command.command_config import CommandConfig, Warm
from worker.agents.command.presets import DEFAULT_ENV
from worker.agents.config import load_agents
from worker.agents.demo_config import DemoConfig
from worker.agents.kinds import KINDS, AgentConfig
from worker.agents.openai.openai_config import OpenAIConfig
from worker.agents.python.python_config import PythonConfig


def written(folder: Path, text: str) -> Path:
    file = folder / "agents.toml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str) -> dict[str, AgentConfig]:
    return load_agents(written(folder, text), required=True)


def complaint(folder: Path, text: str) -> str:
    """The error message after the name of the file."""
    with pytest.raises(SettingsError) as wrong:
        loaded(folder, text)
    message = str(wrong.value)
    assert message.startswith(f"{folder / 'agents.toml'}: ")
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'agents.toml'}: ")


def test_every_kind_can_be_written(tmp_path: Path) -> None:
    agents = loaded(
        tmp_path,
        """
        [agents.main]
        kind = "python"
        entry = "examples.python.echo:reply"

        [agents.wc]
        kind = "command"
        command = ["python3", "examples/text/count_words.py"]
        input = "stdin"
        output = "text"
        timeout_seconds = 600
        env = ["PATH", "HOME"]
        workdir = "{session}"

        [agents.gpt]
        kind = "openai"
        base_url = "https://api.openai.com/v1"
        model = "gpt-4o-mini"
        api_key_env = "OPENAI_API_KEY"

        [agents."*"]
        kind = "demo"
        """,
    )
    assert agents == {
        "main": PythonConfig(kind="python", entry="examples.python.echo:reply"),
        "wc": CommandConfig(
            kind="command",
            command=("python3", "examples/text/count_words.py"),
            timeout_seconds=600,
            env=("PATH", "HOME"),
            workdir="{session}",
        ),
        "gpt": OpenAIConfig(
            kind="openai",
            base_url="https://api.openai.com/v1",
            model="gpt-4o-mini",
            api_key_env="OPENAI_API_KEY",
        ),
        "*": DemoConfig(),
    }


def test_the_example_in_the_repository_can_be_loaded() -> None:
    agents = load_agents(Path("agents.example.toml"), required=True)
    assert {config.kind for config in agents.values()} == {"python", "command"}


def test_an_agent_has_its_policy(tmp_path: Path) -> None:
    text = '[agents.a]\nkind = "demo"\non_worker_lost = "fail"\nmax_attempts = 1\non_disconnect = "continue"\n'
    assert loaded(tmp_path, text)["a"].policy == Policy(on_worker_lost="fail", max_attempts=1, on_disconnect="continue")
    assert DemoConfig().policy == Policy()


def test_a_file_that_is_not_there_holds_no_agent() -> None:
    assert load_agents(Path("/no/such/agents.toml"), required=False) == {}


def test_a_file_that_was_asked_for_has_to_be_there() -> None:
    with pytest.raises(SettingsError, match=r"^/no/such/agents.toml: no such file$"):
        load_agents(Path("/no/such/agents.toml"), required=True)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_agents(tmp_path, required=False)


NO_KIND = "kind: must be one of command, python, openai, demo"

AGENT = '[agents.a]\nkind = "command"\ncommand = ["true"]\n'
PYTHON = '[agents.a]\nkind = "python"\n'
OPENAI = '[agents.a]\nkind = "openai"\n'


PI = '[agents.a]\nkind = "command"\npreset = "pi"\n'
WARM = (
    "[agents.a] warm: is for a command that reads one turn after the other: output = one of claude, codex, gemini, "
    'opencode, pi, and input = "stdin"'
)
PLACE = (
    "[agents.a] command: {prompt} is allowed as an item of its own, or as --option={prompt}, "
    'after the executable, with input = "argument"'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[agents.a]\nkind =\n", "is not TOML: Invalid value (at line 2, column 7)"),
        ("", "has no agent; write a table [agents.main]"),
        ("agents = 1", "has no agent; write a table [agents.main]"),
        ("[agent.a]\n", "agent: unknown key; did you mean agents?"),
        ("[agents]\na = 1\n", "[agents.a] must be a table"),
        ("[agents.a]\n", f"[agents.a] {NO_KIND}"),
        ('[agents.a]\nkind = "comand"\n', f"[agents.a] {NO_KIND}"),
        ("[agents.a]\nkind = 1\n", f"[agents.a] {NO_KIND}"),
        (AGENT + "tiemout_seconds = 1\n", "[agents.a] tiemout_seconds: unknown key; did you mean timeout_seconds?"),
        (AGENT + "maxAttempts = 1\n", "[agents.a] maxAttempts: unknown key; did you mean max_attempts?"),
        (
            PYTHON + 'x = "y"\n',
            "[agents.a] x: unknown key; allowed are on_worker_lost, max_attempts, on_disconnect, description, "
            "timeout_seconds, silent_seconds, max_answer_chars, max_activity_chars, kind, entry",
        ),
        (AGENT + "timeout_seconds = 0\n", "[agents.a] timeout_seconds: must be greater than 0"),
        (AGENT + "timeout_seconds = inf\n", "[agents.a] timeout_seconds: must be a finite number"),
        (AGENT + 'input = "stdn"\n', "[agents.a] input: must be 'stdin', 'json' or 'argument'"),
        (AGENT + "max_attempts = 0\n", "[agents.a] max_attempts: must be greater than or equal to 1"),
        (AGENT + 'env = "PATH"\n', "[agents.a] env: must be a list"),
        (AGENT + 'env = ["A", "B=c"]\n', "[agents.a] env[1]: must be the name of an environment variable"),
        (
            '[agents.a]\nkind = "command"\npreset = "claud"\n',
            "[agents.a] preset: must be 'claude', 'codex', 'gemini', 'opencode', 'pi' or 'openclaw'",
        ),
        (AGENT + 'args = ["{prompt}"]\n', PLACE),
        (
            AGENT + 'workdir = "/srv/{session}"\n',
            '[agents.a] workdir: must be a path or "{session}", the directory of the session',
        ),
        (
            '[agents.a]\nkind = "command"\ncommand = []\n',
            "[agents.a] command: must not be empty",
        ),
        (
            '[agents.a]\nkind = "command"\ncommand = ["a\\u0000"]\n',
            "[agents.a] command[0]: must not hold a NUL character",
        ),
        (AGENT + "limits = 1\n", "[agents.a] limits: must be a table, such as {cpu_seconds = 60}"),
        (
            AGENT + "limits = {cpu_second = 1}\n",
            "[agents.a] limits: cpu_second: unknown limit; did you mean cpu_seconds?",
        ),
        (
            AGENT + "limits = {cpu_seconds = 0}\n",
            "[agents.a] limits.cpu_seconds: must be greater than or equal to 1",
        ),
        (AGENT + "warm = 1\n", WARM),
        (AGENT + 'output = "openclaw"\nwarm = 1\n', WARM),
        (AGENT + 'output = "pi"\ninput = "argument"\nwarm = 1\n', WARM),
        (
            PI + "warm = 0\n",
            "[agents.a] warm: must be at least 1, or a table; leave it out to start the command for each run",
        ),
        (PI + "warm = true\n", "[agents.a] warm: must be a table"),
        (PI + "warm = {idle = 1}\n", "[agents.a] warm.idle: Extra inputs are not permitted"),
        (PI + "warm = {turns = 0}\n", "[agents.a] warm.turns: must be greater than or equal to 1"),
        (PYTHON, "[agents.a] entry: is missing"),
        (PYTHON + 'entry = "echo"\n', "[agents.a] entry: must be module:attribute, such as examples.python.echo:reply"),
        (
            OPENAI + 'model = "m"\nbase_url = "localhost:8000"\n',
            "[agents.a] base_url: must be an http:// or https:// address, such as https://api.openai.com/v1",
        ),
        (
            OPENAI + 'base_url = "http://h"\nmodel = "m"\napi_key_env = "sk-123"\n',
            "[agents.a] api_key_env: must be the name of an environment variable",
        ),
        (
            OPENAI + 'base_url = "http://h"\nmodel = "m"\nallowed_params = ["seed", "temprature"]\n',
            f"[agents.a] allowed_params[1]: is no field that a run carries; those are tools, {', '.join(PARAMS)}",
        ),
        (OPENAI + 'base_url = "http://h"\nmodel = "m"\nparams = {n = 2}\n', "[agents.a] params: n cannot be set here"),
        (
            OPENAI + 'base_url = "http://h"\nmodel = "m"\nparams = {top_p = inf}\n',
            "[agents.a] params: must not hold a number that is none in JSON, such as inf",
        ),
        (
            OPENAI + 'base_url = "http://h"\nmodel = "m"\nmax_retries = 11\n',
            "[agents.a] max_retries: must be less than or equal to 10",
        ),
        (
            '[agents."My Agent"]\n',
            '[agents."My Agent"] is not a legal id; allowed are a-z, 0-9, "_" and "-", at most 64, '
            'a letter or digit first; or "*" for any',
        ),
    ],
)
def test_the_first_mistake_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert complaint(tmp_path, text) == message


@pytest.mark.parametrize("agent_id", ["Main", "", "-a", "_a", "a" * 65, "ä", "a:b"])
def test_an_id_that_no_request_could_name_is_refused(tmp_path: Path, agent_id: str) -> None:
    assert "is not a legal id" in complaint(tmp_path, f'[agents."{agent_id}"]\nkind = "demo"\n')


@pytest.mark.parametrize(
    "keys",
    [
        'command = ["sh", "-c", "echo {prompt}"]\ninput = "argument"',
        'command = ["{prompt}"]\ninput = "argument"',
        'command = ["agent", "{prompt}"]',
    ],
    ids=["as code", "as the executable", "unasked"],
)
def test_the_prompt_has_to_stand_where_it_is_data(tmp_path: Path, keys: str) -> None:
    assert "{prompt} is allowed as an item of its own" in complaint(tmp_path, f'[agents.a]\nkind = "command"\n{keys}\n')


def test_a_preset_fills_in_what_is_not_written(tmp_path: Path) -> None:
    keys = 'preset = "codex"\nargs = ["-m", "x"]\nworkdir = "/srv"\n'
    agent = loaded(tmp_path, f'[agents.a]\nkind = "command"\n{keys}')["a"]
    assert isinstance(agent, CommandConfig)
    assert (agent.command[:3], agent.args) == (("codex", "exec", "--json"), ("-m", "x"))
    assert (agent.input, agent.output, agent.workdir) == ("stdin", "codex", "/srv")


def test_a_preset_knows_how_to_go_on_and_how_to_forget(tmp_path: Path) -> None:
    agent = loaded(tmp_path, '[agents.a]\nkind = "command"\npreset = "pi"\nforget = []\n')["a"]
    assert isinstance(agent, CommandConfig)
    assert (agent.resume, agent.forget) == (("--session", "{conversation}"), ())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('resume = ["--continue"]', "resume: must have {conversation} once"),
        ('resume = ["{conversation}", "{conversation}"]', "resume: must have {conversation} once"),
        ('resume = ["-c", "cli --resume {conversation}"]', "resume: must have {conversation} once"),
        ('args = ["{conversation}"]', "command: {conversation} is allowed in `resume` only"),
        ('forget = ["{conversation}"]', "command: {conversation} is allowed in `resume` only"),
    ],
)
def test_a_conversation_has_its_place_on_the_command_line(tmp_path: Path, keys: str, message: str) -> None:
    assert message in complaint(tmp_path, f'[agents.a]\nkind = "command"\ncommand = ["cli"]\n{keys}\n')


@pytest.mark.parametrize(
    ("written", "warm"),
    [
        ("2", Warm(ready=2)),
        ("{}", Warm(ready=1, kept=4, idle_seconds=300, turns=50)),
        ("{ready = 0, kept = 9, idle_seconds = 1.5, turns = 1}", Warm(ready=0, kept=9, idle_seconds=1.5, turns=1)),
    ],
)
def test_warm_is_a_number_or_a_table(tmp_path: Path, written: str, warm: Warm) -> None:
    agent = loaded(tmp_path, f"{PI}warm = {written}\n")["a"]
    assert isinstance(agent, CommandConfig)
    assert agent.warm == warm
    assert agent.command == ("pi", "--mode", "rpc", "--no-session")


def test_a_command_of_ones_own_can_be_warm(tmp_path: Path) -> None:
    agent = loaded(tmp_path, AGENT + 'output = "claude"\nwarm = 1\n')["a"]
    assert isinstance(agent, CommandConfig)
    assert (agent.command, agent.warm) == (("true",), Warm())


def test_a_key_that_was_pasted_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    for line in ('api_key_env = "sk-secret"', 'base_url = "sk-secret"', 'api_key = "sk-secret"'):
        assert "sk-secret" not in complaint(tmp_path, OPENAI + f'model = "m"\n{line}\n')


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    file = tmp_path / "agents.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not TOML: 'utf-8' codec"):
        load_agents(file, required=True)


def test_every_kind_is_documented() -> None:
    docs = Path("docs/agents.md").read_text()
    (row,) = re.findall(r"^\| `kind` \| \| (.*) \|$", docs, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(KINDS)
    assert set(KINDS) <= set(re.findall(r"^## (\w+)$", docs, re.MULTILINE))


@pytest.mark.parametrize("config", [*KINDS.values(), Warm])
def test_every_key_is_documented(config: type[AgentConfig | Warm]) -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", Path("docs/agents.md").read_text(), re.MULTILINE))
    assert set(config.model_fields) <= documented


def test_the_documented_defaults_of_warm() -> None:
    docs = Path("docs/agents.md").read_text()
    for name, default in Warm().model_dump().items():
        assert f"| `{name}` | `{default:g}` |" in docs


def test_the_documented_environment_is_the_default() -> None:
    assert f"| `env` | {', '.join(f'`{name}`' for name in DEFAULT_ENV)} |" in Path("docs/agents.md").read_text()


def test_the_documented_parameters_are_those_that_a_run_carries() -> None:
    docs = " ".join(Path("docs/agents.md").read_text().split())
    usual, others = (
        re.findall(r"`(\w+)`", part) for part in re.findall(r"(?:by default are|also allow) (.*?)\.", docs)
    )
    assert tuple(usual) == (TOOLS, *USUAL)
    assert tuple(others) == OTHERS
