// `undici`: a page.

import { EnvHttpProxyAgent, fetch } from 'undici';
import { shown } from './shown.mjs';

await shown(async (host) => {
  const answer = await fetch(`https://${host}/`, { dispatcher: new EnvHttpProxyAgent() });
  return answer.text();
});
