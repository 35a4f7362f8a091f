"""`grpcio`: one unary call, its messages plain bytes. It reads the proxy variables in lower case only."""

import grpc
from shown import shown


def call(host):
    with grpc.secure_channel(f"{host}:443", grpc.ssl_channel_credentials()) as channel:
        return channel.unary_unary("/egret.lab.Echo/Say")(b"Say hello.", timeout=10).decode()


shown(call)
