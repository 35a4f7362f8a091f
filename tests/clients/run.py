#!/usr/bin/env python3
"""Real clients through the lab: each completes its call, and a denied call shows what `docs/clients.md` says it can show.

`table.toml` lists the clients, `clients.toml` is their world. Each runs three times, in a lab of its own: allowed; denied;
and the denied call where all is allowed, which must reach the site that nobody may reach, or the denial would prove
nothing. Nobody here takes a client's word: the rows that egret wrote must tell of every connection that a site heard and
of every try that was refused. Clients are installed by pip and npm into a folder of their own and kept there.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import Lab, scenarios

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent.parent / "docs/clients.md"

# Longest time for a call that is denied and for one that is not, in seconds: what fails at once must not hang.
DENIED_TIME = 15
WORKING_TIME = 60

# Clients that run at the same time; most of their time they wait.
AT_ONCE = 4


def install(folder):
    """The clients; how to run a file of each kind, and the path of the tools."""
    python = folder / "venv/bin/python"
    if stale(folder / "venv", HERE / "python/requirements.txt"):
        venv.create(folder / "venv", clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "python/requirements.txt"], check=True)
        shutil.copy(HERE / "python/requirements.txt", folder / "venv")
    node = folder / "node"
    if stale(node, HERE / "node/package.json"):
        shutil.rmtree(node, ignore_errors=True)
        node.mkdir()
        shutil.copy(HERE / "node/package.json", node)
        quiet = ["--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run(["npm", "install", "--engine-strict", "--no-package-lock", *quiet], cwd=node, check=True)
    for script in (HERE / "node").glob("*.mjs"):  # they must lie beside their packages
        shutil.copy(script, node)
    commands = {"python": [python], "node": ["node"], "shell": ["sh"]}
    places = {"python": HERE / "python", "node": node, "shell": HERE / "shell"}

    def command(file):
        kind, name = file.split("/")
        return [*commands[kind], places[kind] / name]

    return command, f"{python.parent}:{os.environ['PATH']}"


def stale(installed, wanted):
    kept = installed / wanted.name
    return not kept.exists() or kept.read_text() != wanted.read_text()


class Play:
    """One run of a client in a lab of its own."""

    def __init__(self, client, case, scenario, setup):
        command, path, egret, folder = setup
        host = client["allowed" if case == "allowed" else "denied"]
        home = folder / "runs" / re.sub(r"\W+", "-", f"{client['name']}-{case}")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        lab = Lab(egret, scenario)
        try:
            # What a user sets and nothing else: no variable of this machine gets in.
            environment = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **lab.environment}
            environment |= {name: value.replace("{host}", host) for name, value in client.get("set", {}).items()}
            patience = denied_time(client) if case == "denied" else WORKING_TIME
            self.code, self.said, self.seconds = run([*command(client["run"]), host], environment, home, patience)
        finally:
            self.rows, self.heard = lab.stop()

    def about(self, host):
        return [row for row in self.rows if row["Fqdn"] == host]

    def at_forbidden(self):
        return sum(site["bytes"] for site in self.heard.values() if site["forbidden"])

    def connections(self):
        return sum(site["connections"] for site in self.heard.values())


def denied_time(client):
    return client.get("seconds", DENIED_TIME)


def run(command, environment, folder, patience):
    """Exit code, what it printed, seconds. It and all that it started end when its time is up: exit code `None`."""
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=patience)
        code = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        code = None
    return code, said.strip(), time.monotonic() - begin


class Outcome:
    """What came of one client, and what was wrong with it."""

    def __init__(self, client):
        self.client = client
        self.faults = []
        self.plays = {}

    def expect(self, holds, what, seen):
        if not holds:
            self.faults.append(f"{what}: {seen}")

    def judge(self, case, play):
        self.plays[case] = play
        getattr(self, case)(play)

    def allowed(self, play):
        self.expect(play.code == 0 and self.client["says"] in play.said, "allowed: wrong answer", play.said)
        rules = {row["Rule"] for row in play.rows if row["Action"] == "Allow"}
        self.expect(rules == set(self.client["rules"]), "allowed: other rules", rules)
        self.only_noise([row for row in play.rows if row["Action"] == "Deny"])
        allowed = len(play.rows) - len(self.noise(play.rows))
        self.expect(allowed == play.connections(), "allowed: rows and connections differ", (play.rows, play.heard))

    def denied(self, play):
        client, host = self.client, self.client["denied"]
        self.expect(play.code is not None, "denied: it hangs", f"{play.seconds:.0f} s, {play.said}")
        self.expect(play.code not in (0, None), "denied: it succeeds", play.said)
        found = re.search(shown(client["shows"], host), play.said, re.S)
        self.expect(found, "denied: it shows something else", play.said)
        refused = play.about(host)
        flows = {row["egret"]["flow"][-8:] for row in refused}
        told = set(found.groups()) - set(found.groupdict().values()) if found else set()
        self.expect(told <= flows, "denied: it tells of another flow", (told, flows))
        reasons = {(row["Action"], row["egret"]["reason"]) for row in refused}
        self.expect(reasons == {("Deny", "NoRuleMatched")}, "denied: other decisions", reasons)
        least, most = client["denials"] if isinstance(client["denials"], list) else [client["denials"]] * 2
        self.expect(least <= len(refused) <= most, f"denied: not {client['denials']} rows", len(refused))
        self.only_noise([row for row in play.rows if row["Action"] == "Deny" and row["Fqdn"] != host])
        self.expect(play.at_forbidden() == 0, "denied: a forbidden site heard it", play.heard)

    def control(self, play):
        self.expect(play.at_forbidden() > 0, "control: no forbidden site heard it", (play.said, play.rows))
        self.expect(play.code == 0, "control: it fails where all is allowed", play.said)

    def noise(self, rows):
        names = tuple(f".{name}" for name in self.client.get("noise", []))
        return [row for row in rows if row["Action"] == "Deny" and f".{row['Fqdn']}".endswith(names)]

    def only_noise(self, denied):
        self.expect(denied == self.noise(denied), "it is refused what it needs", denied)

    def cells(self):
        said = self.plays["denied"].said
        found = re.search(shown(self.client["shows"], self.client["denied"]), said, re.S)
        rows = [len(play.rows) for play in self.plays.values()]
        seconds = [f"{play.seconds:.1f}" for play in self.plays.values()]
        text = " .. ".join(part.strip() for part in found.groupdict().values()) if found else "?"
        mark = "NOT OK" if self.faults else "ok"
        return [mark, self.client["name"], "/".join(seconds), "/".join(map(str, rows)), text]


def shown(parts, host):
    """A pattern of these texts in this order, each a group; {reason} keeps its flow."""
    reason = re.escape(f"egret: {host}:443 denied, NoRuleMatched (flow ") + r"([0-9a-f]+)\)"
    texts = (re.escape(part).replace(re.escape("{reason}"), reason) for part in parts)
    return ".*?".join(f"(?P<part{n}>{text})" for n, text in enumerate(texts))


def play(client, worlds, setup):
    outcome = Outcome(client)
    world, control = worlds
    cases = {"allowed": world, "denied": world, "control": control}
    for case, scenario in cases.items():
        outcome.judge(case, Play(client, case, scenario, setup))
    print(f"  {'FAILED' if outcome.faults else 'ok'}  {client['name']}", flush=True)
    return outcome


def table(outcomes):
    heads = ["", "client", "seconds", "rows", "what it showed when denied"]
    lines = [heads, *(outcome.cells() for outcome in outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    print("\nallowed / denied / denied where all is allowed")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--egret", type=Path, default=HERE.parent.parent / "target/release/egret")
    parser.add_argument("--folder", type=Path, default=HERE.parent.parent / "target/clients")
    parser.add_argument("names", nargs="*", help="only clients whose name holds one of these")
    arguments = parser.parse_args()
    clients = tomllib.loads((HERE / "table.toml").read_text())["client"]
    unknown = [client["name"] for client in clients if f"| {client['name']} |" not in DOCS.read_text()]
    if unknown:
        sys.exit(f"{DOCS} does not speak of {unknown}")
    clients = [c for c in clients if not arguments.names or any(name in c["name"] for name in arguments.names)]

    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    command, path = install(folder)
    setup = command, path, arguments.egret.resolve(), folder
    worlds = scenarios(folder)
    # Those that take longest begin first.
    clients.sort(key=denied_time, reverse=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(lambda client: play(client, worlds, setup), clients))
    table(outcomes)
    faults = [(outcome.client["name"], fault) for outcome in outcomes for fault in outcome.faults]
    for name, fault in faults:
        print(f"\n{name}: {fault}")
    print(f"\n{len(outcomes)} clients, {sum(len(outcome.plays) for outcome in outcomes)} runs, {len(faults)} faults")
    sys.exit(1 if faults or not outcomes else 0)


main()
