// Chat completions with Node's client. Node 20's own fetch reads no proxy variable: the SDK gets undici's dispatcher.
// One JSON line a call.

import { AzureOpenAI } from 'openai';
import { EnvHttpProxyAgent, fetch } from 'undici';

const [allowed, denied] = process.argv.slice(2);
const dispatcher = new EnvHttpProxyAgent();
const messages = [{ role: 'user', content: 'Say hello.' }];

async function chat(host, stream) {
  const client = new AzureOpenAI({
    endpoint: `https://${host}`,
    apiKey: 'lab',
    apiVersion: '2024-10-21',
    maxRetries: 0,
    fetch,
    fetchOptions: { dispatcher },
  });
  const answer = await client.chat.completions.create({ model: 'gpt-4o', messages, stream });
  if (!stream) return answer.choices[0].message.content;
  let words = '';
  for await (const chunk of answer) words += chunk.choices[0]?.delta.content ?? '';
  return words;
}

function causes(error) {
  const texts = [];
  for (let e = error; e; e = e.cause) texts.push(`${e.name}: ${e.message}`);
  return texts.join(' <- ');
}

for (const [name, host, stream] of [['plain', allowed, false], ['stream', allowed, true], ['denied', denied, false]]) {
  const said = await chat(host, stream).catch(causes);
  console.log(JSON.stringify({ client: 'node openai', case: name, said }));
}
await dispatcher.close();
