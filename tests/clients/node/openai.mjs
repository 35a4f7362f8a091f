// `openai`: chat completions, whole and word by word. Node 20's own fetch reads no proxy variable: it gets undici's.

import { AzureOpenAI } from 'openai';
import { EnvHttpProxyAgent, fetch } from 'undici';
import { shown } from './shown.mjs';

await shown(async (host) => {
  const fetchOptions = { dispatcher: new EnvHttpProxyAgent() };
  const apiVersion = '2024-10-21';
  const client = new AzureOpenAI({ endpoint: `https://${host}`, apiKey: 'lab', apiVersion, fetch, fetchOptions });
  const call = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Say hello.' }] };
  const whole = await client.chat.completions.create(call);
  let words = '';
  for await (const chunk of await client.chat.completions.create({ ...call, stream: true })) {
    words += chunk.choices[0]?.delta.content ?? '';
  }
  return `${whole.choices[0].message.content} / ${words}`;
});
