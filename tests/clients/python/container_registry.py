"""`azure-containerregistry` with `azure-identity`: a manifest and the layer that it names."""

from azure.containerregistry import ContainerRegistryClient
from contoso import credential
from shown import shown


def pull(host):
    with ContainerRegistryClient(f"https://{host}", credential()) as registry:
        manifest = registry.get_manifest("egret/lab", "latest").manifest
        layer = registry.download_blob("egret/lab", manifest["layers"][0]["digest"])
        return f"a layer of {len(b''.join(layer))} bytes"


shown(pull)
