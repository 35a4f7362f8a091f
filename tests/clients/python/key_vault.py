"""`azure-keyvault-secrets` with `azure-identity`: a secret."""

from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from shown import shown


def secret(host):
    credential = ClientSecretCredential("contoso.example", "lab", "secret")
    return SecretClient(f"https://{host}", credential).get_secret("connection-string").value


shown(secret)
