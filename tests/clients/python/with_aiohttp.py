"""`aiohttp`: a page. It reads the proxy variables only if told to."""

import aiohttp
from shown import shown


async def page(host):
    async with aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session:
        async with session.get(f"https://{host}/") as answer:
            return await answer.text()


shown(page)
