"""Sends requests with ten thousand different paths and methods, which must not add series."""

import random
import socket
import string

from samples import Samples

REQUESTS, BATCH = 10_000, 100
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]
PATHS = ["/", "/json", "/index.html", "/coins/{}", "/{}", "/{}/{}", "/0{}", "/{}?{}", "/%41{}", "/{n}"]


def random_word():
    return "".join(random.choices(string.ascii_letters + string.digits + "-._~", k=12))


def request(path, method=None):
    method = method or random.choice([*METHODS, random_word().upper().strip("-._~") or "X"])
    path = path.replace("{n}", str(random.randrange(5000)))
    while "{}" in path:
        path = path.replace("{}", random_word(), 1)
    return f"{method} {path} HTTP/1.1\r\nHost: flood\r\nContent-Length: 0\r\n"


def send(address, requests):
    """Sends requests over one connection and returns the number of responses."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        *first, last = requests
        text = "".join(f"{each}\r\n" for each in first) + f"{last}Connection: close\r\n\r\n"
        connection.sendall(text.encode())
        data = b""
        while chunk := connection.recv(1 << 16):
            data += chunk
    return data.count(b"HTTP/1.1 ")


def problems(service):
    """Floods a service with requests and yields the problems."""
    one_of_each = [request(path, method) for path in PATHS for method in [*METHODS, "BREW"]]
    one_of_each += [request(path) for path in PATHS]
    send(service.address, one_of_each)
    send(service.address, [request("/", "CONNECT")])
    before = Samples(service.exposition())
    responses = 0
    for _ in range(REQUESTS // BATCH):
        responses += send(service.address, [request(random.choice(PATHS)) for _ in range(BATCH)])
    after = Samples(service.exposition())
    count = "http_server_request_duration_seconds_count"
    if responses != REQUESTS or after.sum(count) - before.sum(count) != REQUESTS:
        yield f"{service.name}: {responses} responses, {after.sum(count) - before.sum(count)} measured"
    if after.count != before.count:
        yield f"{service.name}: {before.count} series before and {after.count} after"
    print(f"    {service.name}: {after.count} series after {after.sum(count):.0f} requests")
