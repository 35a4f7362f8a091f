"""Who the clients are."""

from azure.identity import ClientSecretCredential

# The mocks' tenant: a client takes a challenge of no other.
TENANT = "00000000-0000-0000-0000-00000000c0de"


def credential(**options):
    return ClientSecretCredential(TENANT, "lab", "secret", **options)
