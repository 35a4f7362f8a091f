"""`azure-search-documents`: a document, and a query that finds it."""

from azure.core.credentials import AzureKeyCredential
from azure.search.documents import SearchClient
from shown import shown


def query(host):
    client = SearchClient(f"https://{host}", "docs", AzureKeyCredential("lab"))
    client.upload_documents([{"id": "1", "text": "A white egret."}])
    return f"{len(list(client.search('egret')))} found"


shown(query)
