"""`azure-storage-blob`: 64 MiB up in parallel blocks and down in parallel ranges, compared by their hash."""

import hashlib
import random

from azure.storage.blob import ContainerClient
from shown import shown

MIB = 1024 * 1024


def there_and_back(host):
    data = random.Random(3).randbytes(64 * MIB)
    container = ContainerClient(
        f"https://{host}",
        "lab",
        credential="bGFi",
        max_block_size=4 * MIB,
        max_single_put_size=4 * MIB,
        max_single_get_size=4 * MIB,
        max_chunk_get_size=4 * MIB,
    )
    container.create_container()
    blob = container.get_blob_client("parallel.bin")
    blob.upload_blob(data, overwrite=True, max_concurrency=8)
    back = blob.download_blob(max_concurrency=8).readall()
    same = hashlib.sha256(back).digest() == hashlib.sha256(data).digest()
    return f"{len(back) // MIB} MiB, {'the same' if same else 'NOT the same'}"


shown(there_and_back)
