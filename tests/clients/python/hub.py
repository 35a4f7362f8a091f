"""`huggingface_hub`: a file of a model."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from shown import shown


def download(host):
    path = hf_hub_download("egret/lab", "config.json", endpoint=f"https://{host}")
    return Path(path).read_text()


shown(download)
