"""`openai`: eight chat completions at once."""

import asyncio

from openai import AsyncAzureOpenAI
from shown import shown


async def chats(host):
    client = AsyncAzureOpenAI(azure_endpoint=f"https://{host}", api_key="lab", api_version="2024-10-21")
    messages = [{"role": "user", "content": "Say hello."}]
    calls = [client.chat.completions.create(model="gpt-4o", messages=messages) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for error in (answer for answer in answers if isinstance(answer, Exception)):
        raise error
    said = {answer.choices[0].message.content for answer in answers}
    return f"{len(answers)} answers: {' / '.join(said)}"


shown(chats)
