"""`openai`: a chat completion, whole."""

from openai import AzureOpenAI
from shown import shown


def chat(host):
    client = AzureOpenAI(azure_endpoint=f"https://{host}", api_key="lab", api_version="2024-10-21")
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Say hello."}])
    return answer.choices[0].message.content


shown(chat)
