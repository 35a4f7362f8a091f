"""`azure-keyvault-secrets` with `azure-identity`: a secret."""

from azure.keyvault.secrets import SecretClient
from contoso import credential
from shown import shown


def secret(host):
    return SecretClient(f"https://{host}", credential()).get_secret("lab-secret").value


shown(secret)
