"""`requests`: a page."""

import requests
from shown import shown


def page(host):
    answer = requests.get(f"https://{host}/", timeout=20)
    answer.raise_for_status()
    return answer.text


shown(page)
