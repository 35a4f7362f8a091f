"""`azure-search-documents`: a query."""

from azure.core.credentials import AzureKeyCredential
from azure.search.documents import SearchClient
from shown import shown


def query(host):
    found = SearchClient(f"https://{host}", "docs", AzureKeyCredential("lab")).search("egret")
    return f"{len(list(found))} found"


shown(query)
