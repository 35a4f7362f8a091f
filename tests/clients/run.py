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
import signal
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
