// `@azure/identity`: a token for a client secret. The host is the authority.

import { ClientSecretCredential } from '@azure/identity';
import { TENANT, shown } from './shown.mjs';

await shown(async (host) => {
  const options = { authorityHost: `https://${host}` };
  const credential = new ClientSecretCredential(TENANT, 'lab', 'secret', options);
  const { token } = await credential.getToken('https://cognitiveservices.azure.com/.default');
  return `a token of ${token.split('.').length} parts`;
});
