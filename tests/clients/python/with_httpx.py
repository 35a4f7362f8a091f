"""`httpx`: a page."""

import httpx
from shown import shown


def page(host):
    return httpx.get(f"https://{host}/").raise_for_status().text


shown(page)
