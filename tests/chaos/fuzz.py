"""Everything Slack can send, much of it wrong, through the gate into the real app; nothing may fall over.

    python tests/chaos/fuzz.py --payloads 10000 --seed 1

People of a sandbox workspace work as usual: what they do has to appear in rows, views and messages that
the workspace accepts. Between their steps, payloads that they sent are sent again with accidents: changed
types, missing parts, huge and strange texts, forged people, foreign ids, wrong signatures, replays.
Prints what was sent and every failure; ends with 1 if there was one. The same seed makes the same choices;
ids of messages and runs differ, so a game does not repeat itself to the letter.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import furnish, new_workspace, served
from chaos.accidents import Accidents
from chaos.door import Door
from chaos.game import Failures, Game, Threads, listeners_of, record_reached, watched
from chaos.work import Work

from bot.app import build, gated

VALID_SHARE = 0.4
EVENTS = frozenset(
    {
        *("message", "app_home_opened", "reaction_added", "reaction_removed", "app_uninstalled", "tokens_revoked"),
        *("app_mention", "assistant_thread_started", "app_context_changed"),
        *("user_change", "subteam_members_changed", "subteam_updated", "member_left_channel"),
    }
)
REPORT_SECONDS = 20.0


@dataclass
class Result:
    """How a game went."""

    seed: int
    sent: Counter[str]
    statuses: Counter[int]
    reached: Counter[str]
    listeners: set[str]
    failures: list[str]

    @property
    def total(self) -> int:
        """Payloads that reached the gate."""
        return sum(self.sent.values())


def play(payloads: int, seed: int, folder: Path) -> Result:
    """Send at least so many payloads and say what happened."""
    rng, failures, reached = random.Random(seed), Failures(), Counter[str]()
    with new_workspace(seed).serve() as workspace, watched(failures):
        workspace.subscriptions = EVENTS
        group = workspace.add_group("agents", [])
        office = furnish(workspace, folder, ERRATA_ASSISTANT="on", ERRATA_GROUPS=f"agent={group}")
        app = build(office.settings, office.store)
        record_reached(app, reached)
        gate = gated(app, office.settings, office.store)
        with served(gate) as url:
            workspace.deliver_to(url)
            threads = Threads(app._listener_runner.listener_executor)
            game = Game(office, Door(gate, workspace.signing_secret), rng, failures, threads)
            work, accidents, said = Work(game), Accidents(game), time.monotonic()
            while game.total < payloads or work.todo or set(listeners_of(app)) - set(reached):
                if game.total > max(3 * payloads, 2_000):
                    break
                if game.sent["valid"] <= VALID_SHARE * game.total:
                    work.do_something()
                else:
                    accidents.happen()
                if time.monotonic() - said > REPORT_SECONDS:
                    said = time.monotonic()
                    left = [*work.todo, *sorted(set(listeners_of(app)) - set(reached))]
                    still = f", still to do: {left}" if game.total >= payloads else ""
                    print(f"{game.total:,} of {payloads:,}, {len(failures.found)} failures{still}", flush=True)
        app._listener_runner.listener_executor.shutdown(wait=True)
        office.store.close()
    return Result(seed, game.sent, game.statuses, reached, set(listeners_of(app)), failures.found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payloads", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with TemporaryDirectory() as folder:
        result = play(options.payloads, options.seed, Path(folder))
    print(f"{result.total:,} payloads: {dict(result.sent)}; statuses {dict(sorted(result.statuses.items()))}")
    missed = result.listeners - set(result.reached)
    print(f"{len(result.reached)} of {len(result.listeners)} listeners reached; not: {sorted(missed) or 'none'}")
    for failure, times in Counter(one[:3000] for one in result.failures).most_common(20):
        print(f"FAILED {times} times: {failure}")
    print(f"{len(result.failures)} failures")
    return 1 if result.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
