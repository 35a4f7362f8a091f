"""`azure-identity`: a token for a client secret. The host is the authority."""

from contoso import credential
from shown import shown


def token(host):
    token = credential(authority=host).get_token("https://cognitiveservices.azure.com/.default").token
    return f"a token of {len(token.split('.'))} parts"


shown(token)
