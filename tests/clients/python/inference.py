"""`azure-ai-inference`: a chat completion of a Foundry model."""

from azure.ai.inference import ChatCompletionsClient
from azure.ai.inference.models import UserMessage
from azure.core.credentials import AzureKeyCredential
from shown import shown


def chat(host):
    client = ChatCompletionsClient(f"https://{host}/models", AzureKeyCredential("lab"))
    return client.complete(model="gpt-4o", messages=[UserMessage("Say hello.")]).choices[0].message.content


shown(chat)
