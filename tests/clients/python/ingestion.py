"""`azure-monitor-ingestion` with `azure-identity`: two records. One that cannot be delivered is an error here."""

from azure.monitor.ingestion import LogsIngestionClient
from contoso import credential
from shown import shown


def upload(host):
    records = [{"Computer": "lab", "Message": f"record {n}"} for n in range(2)]
    LogsIngestionClient(f"https://{host}", credential()).upload("dcr-egretlab", "Custom-Lab_CL", records)
    return f"{len(records)} delivered"


shown(upload)
