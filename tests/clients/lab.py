"""`egret lab` as the clients' tests need it: one for each run of a client, so that every row and every byte is that run's."""

import json
import re
import signal
import subprocess
from pathlib import Path

SCENARIO = Path(__file__).resolve().parent / "clients.toml"

# What stands in place of the scenario's configuration for the control of a denial.
ALLOW_ALL = """
[dns]
forwarders = ["@public"]
[private_endpoints]
mode = "off"
[[application_rule_collection]]
name = "all"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "all"
  source_addresses = ["*"]
  destination_fqdns = ["*"]
  allow_wide = true
"""


def scenarios(folder):
    """The scenario as it is, and as one that allows all: two files."""
    text = SCENARIO.read_text()
    control = folder / "control.toml"
    control.write_text(re.sub(r"(?<=^config = ''').*?(?=''')", lambda _: ALLOW_ALL, text, count=1, flags=re.S | re.M))
    return SCENARIO, control


class Lab:
    """Stays up until it is stopped."""

    def __init__(self, egret, scenario):
        command = [egret, "lab", "--json", "--scenario", scenario]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit(f"the lab did not start: {self.process.communicate()[1]}")
        variables = Path(json.loads(said)["by_hand"]["variables"]).read_text()
        self.environment = dict(re.findall(r"^export (\w+)='(.*)'$", variables, re.M))

    def stop(self):
        """Ends it: the rows that it wrote, and what each site heard."""
        self.process.send_signal(signal.SIGTERM)
        said = [json.loads(line) for line in self.process.communicate(timeout=30)[0].splitlines()]
        return [row["properties"] for row in said[:-1]], said[-1]["heard"]
