"""Chat completions with Python's clients, all set up by environment variables alone: one JSON line a call."""

import json
import sys

import httpx
import openai
import requests

ALLOWED, DENIED = sys.argv[1:3]
CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
MESSAGES = [{"role": "user", "content": "Say hello."}]


def with_openai(host, stream):
    client = openai.AzureOpenAI(
        azure_endpoint=f"https://{host}", api_key="lab", api_version="2024-10-21", max_retries=0
    )
    answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=stream)
    if not stream:
        return answer.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def with_requests(host, stream):
    answer = requests.post(
        f"https://{host}{CHAT}",
        headers={"api-key": "lab"},
        json={"messages": MESSAGES, "stream": stream},
        stream=stream,
        timeout=20,
    )
    answer.raise_for_status()
    return events(answer.iter_lines()) if stream else answer.json()["choices"][0]["message"]["content"]


def with_httpx(host, stream):
    body = {"messages": MESSAGES, "stream": stream}
    with httpx.stream("POST", f"https://{host}{CHAT}", headers={"api-key": "lab"}, json=body) as answer:
        answer.raise_for_status()
        if stream:
            return events(line.encode() for line in answer.iter_lines())
        return json.loads(answer.read())["choices"][0]["message"]["content"]


def events(lines):
    """The words of a stream of server-sent events."""
    words = []
    for line in lines:
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            words += [choice["delta"].get("content", "") for choice in json.loads(line[6:])["choices"]]
    return "".join(words)


def causes(error):
    """The error and what it came from, as a traceback shows them."""
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__


for name, call in [("openai", with_openai), ("requests", with_requests), ("httpx", with_httpx)]:
    for case, host, stream in [("plain", ALLOWED, False), ("stream", ALLOWED, True), ("denied", DENIED, False)]:
        try:
            said = call(host, stream)
        except Exception as error:  # what a user would read is what is tested
            said = " <- ".join(causes(error))
        print(json.dumps({"client": f"python {name}", "case": case, "said": said}), flush=True)
