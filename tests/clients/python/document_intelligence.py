"""`azure-ai-documentintelligence`: an analysis that is polled for until it is done."""

from azure.ai.documentintelligence import DocumentIntelligenceClient
from azure.core.credentials import AzureKeyCredential
from shown import shown


def analyse(host):
    client = DocumentIntelligenceClient(f"https://{host}", AzureKeyCredential("lab"))
    return client.begin_analyze_document("prebuilt-read", b"%PDF-1.7 a document").result().content


shown(analyse)
