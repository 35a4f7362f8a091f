// `@azure/keyvault-secrets` with `@azure/identity`: a secret.

import { ClientSecretCredential } from '@azure/identity';
import { SecretClient } from '@azure/keyvault-secrets';
import { TENANT, shown } from './shown.mjs';

await shown(async (host) => {
  const credential = new ClientSecretCredential(TENANT, 'lab', 'secret');
  return (await new SecretClient(`https://${host}`, credential).getSecret('lab-secret')).value;
});
