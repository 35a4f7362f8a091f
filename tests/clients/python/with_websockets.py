"""`websockets`: one message there and back."""

from shown import shown
from websockets.asyncio.client import connect


async def talk(host):
    async with connect(f"wss://{host}/echo") as socket:
        await socket.send("Say hello.")
        return await socket.recv()


shown(talk)
