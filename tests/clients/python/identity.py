"""`azure-identity`: a token for a client secret. The host is the authority."""

from azure.identity import ClientSecretCredential
from shown import shown


def token(host):
    credential = ClientSecretCredential("contoso.example", "lab", "secret", authority=host)
    return f"a token of {len(credential.get_token('https://cognitiveservices.azure.com/.default').token.split('.'))} parts"


shown(token)
