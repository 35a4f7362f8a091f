#!/usr/bin/env python3
"""Real clients through the lab: each completes a chat, and a denied call shows what `docs/clients.md` says it can show.

Nobody here takes a client's word: the rows that egret wrote must tell of every call, and the sites that nobody may reach
must have heard nothing. Clients are installed by pip and npm into a folder of their own and kept there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORDS = "Hello from the egret lab."
ALLOWED = "contoso-ai.openai.azure.com"
DENIED = "fabrikam-ai.openai.azure.com"
CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"

# What a denied call must show, by client.
REASON = rf"403 egret: {re.escape(DENIED)}:443 denied, NoRuleMatched \(flow [0-9a-f]+\)"
SHOWS = {
    "python openai": rf"^APIConnectionError: Connection error\..* <- ProxyError: {REASON}",
    "python requests": rf"Tunnel connection failed: {REASON}",
    "python httpx": rf"^ProxyError: {REASON}",
    # undici tells the status alone
    "node openai": r"Connection error\..* <- .*Proxy response \(403\)",
}

# Longest time for one client, in seconds.
PATIENCE = 120

checks = {"passed": 0, "failed": 0}


def check(what, holds, seen=""):
    checks["passed" if holds else "failed"] += 1
    print(f"  {'ok' if holds else 'FAILED'}  {what}" + ("" if holds else f": {seen}"), flush=True)


def install(folder):
    """The Python interpreter and the folder with Node's packages."""
    python = folder / "venv/bin/python"
    wanted = (HERE / "requirements.txt").read_text()
    if not python.exists() or (folder / "requirements.txt").read_text() != wanted:
        venv.create(folder / "venv", clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
        (folder / "requirements.txt").write_text(wanted)
    node = folder / "node"
    wanted = (HERE / "package.json").read_text()
    if not (node / "node_modules").exists() or (node / "package.json").read_text() != wanted:
        shutil.rmtree(node, ignore_errors=True)
        node.mkdir(parents=True)
        (node / "package.json").write_text(wanted)
        npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run(npm, cwd=node, check=True)
    shutil.copy(HERE / "chat.mjs", node)
    return python, node


class Lab:
    """`egret lab --json`, staying up: first its own attempts, then how to try by hand, then a line for each row."""

    def __init__(self, egret):
        self.process = subprocess.Popen([egret, "lab", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            said = json.loads(line)
            if "by_hand" in said:
                break
        else:
            sys.exit("the lab ended before it was up")
        variables = Path(said["by_hand"]["variables"]).read_text()
        self.environment = dict(re.findall(r"^export (\w+)=(.*)$", variables, re.M))

    def stop(self):
        """Ends it: the rows that it wrote since, and the bytes that each forbidden site heard."""
        time.sleep(0.5)  # rows are shown five times a second
        self.process.terminate()
        said = [json.loads(line) for line in self.process.communicate(timeout=30)[0].splitlines()]
        return [row["properties"] for row in said[:-1]], said[-1]["bytes_at_forbidden"]


def calls(command, environment, folder):
    """The JSON lines of a client."""
    done = subprocess.run(
        command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode != 0:
        check(" ".join(map(str, command)), False, done.stdout + done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(call):
    client, case, said = call["client"], call["case"], call["said"]
    if case == "denied":
        check(f"{client}: a denied call shows what it can", re.search(SHOWS[client], said, re.S), said)
    else:
        check(f"{client}: {case} chat", said == WORDS, said)


def curl(arguments, environment):
    command = ["curl", "--silent", "--show-error", "--verbose", "--max-time", "30", *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def with_curl(environment):
    body = json.dumps({"messages": [{"role": "user", "content": "Say hello."}]})
    chat = ["--header", "api-key: lab", "--json", body]
    code, out, err = curl([*chat, f"https://{ALLOWED}{CHAT}"], environment)
    check("curl: plain chat", code == 0 and WORDS in out, out + err)
    streamed = ["--header", "api-key: lab", "--json", json.dumps({**json.loads(body), "stream": True})]
    code, out, err = curl([*streamed, "--no-buffer", f"https://{ALLOWED}{CHAT}"], environment)
    check("curl: streamed chat", code == 0 and "data: [DONE]" in out, out + err)
    code, out, err = curl([*chat, f"https://{DENIED}{CHAT}"], environment)
    check("curl: a denied call ends with exit code 56", code == 56, code)
    check("curl: and shows name and reason", re.search(f"< HTTP/1.1 {REASON}", err), err)
    check("curl: and the same in the header Proxy-Status", re.search(r'< proxy-status: .*NoRuleMatched', err, re.I), err)


def with_rows(rows, heard):
    """What egret itself says of all these calls, and what the far side says."""
    allowed = [row for row in rows if row["Fqdn"] == ALLOWED and row["Action"] == "Allow"]
    denied = [row for row in rows if row["Fqdn"] == DENIED and row["Action"] == "Deny"]
    # curl, three of Python's clients and Node's made two calls that were let through and one that was not
    check("rows: one for each allowed tunnel, all by the rule", len(allowed) == 10 and {r["Rule"] for r in allowed} == {"openai"}, rows)
    reasons = {row["egret"]["reason"] for row in denied}
    check("rows: one for each denied call, all NoRuleMatched", len(denied) == 5 and reasons == {"NoRuleMatched"}, rows)
    check("rows: nothing else", len(rows) == len(allowed) + len(denied), rows)
    check("no forbidden site heard a byte", set(heard.values()) == {0}, heard)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--egret", type=Path, default=HERE.parent.parent / "target/release/egret")
    parser.add_argument("--folder", type=Path, default=HERE.parent.parent / "target/clients")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python, node = install(folder)

    lab = Lab(arguments.egret.resolve())
    ours = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment = {**ours, **lab.environment}
    try:
        with_curl(environment)
        for call in calls([python, HERE / "chat.py", ALLOWED, DENIED], environment, folder):
            judge(call)
        for call in calls(["node", "chat.mjs", ALLOWED, DENIED], environment, node):
            judge(call)
    finally:
        rows, heard = lab.stop()
    with_rows(rows, heard)
    print(f"{checks['passed']} passed, {checks['failed']} failed")
    sys.exit(1 if checks["failed"] else 0)


main()
