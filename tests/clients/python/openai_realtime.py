"""`openai`: a realtime conversation over a WebSocket."""

from openai import AsyncAzureOpenAI
from shown import shown


async def talk(host):
    client = AsyncAzureOpenAI(azure_endpoint=f"https://{host}", api_key="lab", api_version="2024-10-01-preview")
    async with client.realtime.connect(model="gpt-4o-realtime-preview") as talk:
        await talk.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        content = [{"type": "input_text", "text": "Say hello."}]
        await talk.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await talk.response.create()
        words = ""
        async for event in talk:
            if event.type in ("response.output_text.delta", "response.text.delta"):
                words += event.delta
            elif event.type == "response.done":
                return words


shown(talk)
