"""People, their roles and the assistants that are watched, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from shell import Shell


def test_the_first_owner_is_granted_on_the_host_and_everybody_after_by_an_owner(errata: Shell) -> None:
    assert errata("people", "grant", "ben", "owner", acting=None)[0] == 1
    assert errata("people", "grant", "ben", "reviewer", "--name", "Ben Ortiz")[0] == 0
    code, out, _ = errata("people", "list", "--json", acting=None)
    assert code == 0
    assert json.loads(out) == [
        {"id": "local/ben", "name": "Ben Ortiz", "roles": ["reviewer"]},
        {"id": "local/ana", "name": "ana", "roles": ["owner"]},
    ]
    code, _, err = errata("people", "revoke", "ana", "owner")
    assert code == 1
    assert "last owner" in err


def test_a_slack_user_needs_a_workspace(errata: Shell) -> None:
    code, _, err = errata("people", "grant", "U0123ABCD", "agent")
    assert code == 2
    assert "--team" in err
    assert errata("people", "grant", "U0123ABCD", "agent", "--team", "T0123ABCD")[0] == 0
    # From now on the one known workspace is meant.
    assert "T0123ABCD/U0456EFGH" in errata("people", "grant", "U0456EFGH", "agent")[1]


def test_who_lacks_the_role_is_told_which_one_it_takes(errata: Shell) -> None:
    errata("people", "grant", "cara", "agent")
    code, _, err = errata("assistants", "add", "Fjord", "--bot", "U0123BOT1", "--team", "T1", acting="cara")
    assert code == 1
    assert err.count("\n") == 1
    assert "cara may not change assistants" in err


def test_the_least_privileged_role_that_suffices_is_the_one_to_ask_for(errata: Shell) -> None:
    for acting in ("cara", "dan"):
        errata("people", "grant", acting, "operator")
    assert "errata people grant local/cara agent" in errata("queue", "--returned", acting="cara")[2]
    assert "errata people grant local/dan reviewer" in errata("queue", acting="dan")[2]
    assert "errata people grant local/dan owner" in errata("dataset", "freeze", acting="dan")[2]


def test_an_assistant_is_watched_under_its_prompt(errata: Shell, tmp_path: Path) -> None:
    assert errata("assistants", "add", "Fjord", "--bot", "U0123BOT1", "--bot", "B1", "--team", "T1")[0] == 0
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("You help customers.\n", encoding="utf-8")
    assert "version 1" in errata("assistants", "prompt", "Fjord", "--file", str(prompt))[1]
    assert "version 2" in errata("assistants", "prompt", "Fjord", "--text", "Be brief.")[1]
    [listed] = json.loads(errata("assistants", "list", "--json")[1])
    assert (listed["speaks_as"], listed["prompt_version"]) == (["B1", "U0123BOT1"], 2)
    assert errata("assistants", "prompt", "Fjord")[0] == 2
    assert errata("assistants", "prompt", "Fjord", "--file", str(tmp_path / "none.txt"))[0] == 2


def test_a_language_is_chosen_in_the_terminal_as_well_by_oneself_or_an_owner(errata: Shell) -> None:
    assert errata("people", "grant", "ben", "reviewer")[0] == 0
    assert "every language" in errata("people", "language", "ben", acting=None)[1]
    code, told, _ = errata("people", "language", "ben", "de", "--reads", "de, nb", acting="ben")
    assert (code, told) == (0, "ben (local/ben) is spoken to in German and reviews German, Norwegian.\n")
    assert "in Norwegian and" in errata("people", "language", "ben", "nb")[1]
    assert errata("people", "language", "ana", "en", acting="ben")[0] == 1
    assert errata("people", "language", "ben", "fr", acting="ben")[0] == 2
    assert errata("people", "language", "ben", "en", acting=None)[0] == 2
    back = errata("people", "language", "ben", "default", "--reads", "all", acting="ben")[1]
    assert back == "ben (local/ben) is spoken to in the language that Slack is set to and reviews every language.\n"
