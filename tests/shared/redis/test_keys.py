from __future__ import annotations

from itertools import combinations

from arq.constants import in_progress_key_prefix, job_key_prefix, result_key_prefix, retry_key_prefix

from shared.redis.keys import LISTS, Keys

ONE, OTHER = Keys("one"), Keys("other")
ARQS = {job_key_prefix, in_progress_key_prefix, result_key_prefix, retry_key_prefix}


def test_all_of_the_ledger_shares_one_hash_tag() -> None:
    """A script may use any key of the ledger. arq's own names have no tag, so the ledger stays on one primary."""
    assert all(name.startswith("{one}:") for name in ONE.prefixes().values() if name not in ARQS)


def test_all_of_a_log_shares_the_runs_own_hash_tag() -> None:
    names = (ONE.stream("r"), ONE.head("r"), ONE.channel("r"))
    assert all(name.startswith("one:{r}:") for name in names)
    assert len(set(names)) == 3


def test_namespaces_share_no_name() -> None:
    mine, others = ({keys.stream("r"), keys.head("r"), keys.channel("r"), keys.control} for keys in (ONE, OTHER))
    assert not (mine | set(ONE.prefixes().values()) - ARQS) & (others | set(OTHER.prefixes().values()))


def test_no_name_begins_another() -> None:
    """Otherwise an id behind a prefix could make the name of another key."""
    prefixes = [name for name in ONE.prefixes().values() if name.endswith(":")]
    assert not [pair for pair in combinations(sorted(prefixes), 2) if pair[1].startswith(pair[0])]


def test_what_releases_of_other_lists_must_not_read_carries_their_version() -> None:
    assert ONE.queue.endswith(f":v{LISTS}")
    assert ONE.leases.endswith(f":v{LISTS}")


def test_single_names_are_those_that_scripts_use() -> None:
    prefixes = ONE.prefixes()
    assert ONE.run("r") == prefixes["run"] + "r"
    assert ONE.bell("main") == prefixes["bell"] + "main"
    assert ONE.transcript("s") == prefixes["transcript"] + "s"
    assert ONE.conversation("s") == prefixes["conversation"] + "s"
