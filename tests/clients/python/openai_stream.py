"""`openai`: a chat completion, word by word."""

from openai import AzureOpenAI
from shown import shown


def chat(host):
    client = AzureOpenAI(azure_endpoint=f"https://{host}", api_key="lab", api_version="2024-10-21")
    messages = [{"role": "user", "content": "Say hello."}]
    chunks = client.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    return f"{len([word for word in words if word])} words: {''.join(word or '' for word in words)}"


shown(chat)
