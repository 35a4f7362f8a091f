"""`websockets`: the first event of a realtime session, without the SDK."""

import json

from shown import shown
from websockets.asyncio.client import connect


async def talk(host):
    url = f"wss://{host}/openai/v1/realtime?model=gpt-realtime"
    async with connect(url, additional_headers={"api-key": "lab"}) as socket:
        return json.loads(await socket.recv())["type"]


shown(talk)
