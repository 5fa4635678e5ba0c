"""Requests for ten thousand different paths with different methods, which must leave no trace but counts."""

import random
import socket
import string

from samples import Samples

REQUESTS, BATCH = 10_000, 100
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]
PATHS = ["/", "/json", "/index.html", "/coins/{}", "/{}", "/{}/{}", "/0{}", "/{}?{}", "/%41{}", "/{n}"]


def word():
    return "".join(random.choices(string.ascii_letters + string.digits + "-._~", k=12))


def request(path, method=None):
    method = method or random.choice([*METHODS, word().upper().strip("-._~") or "X"])
    path = path.replace("{n}", str(random.randrange(5000)))
    while "{}" in path:
        path = path.replace("{}", word(), 1)
    return f"{method} {path} HTTP/1.1\r\nHost: flood\r\nContent-Length: 0\r\n"


def send(address, requests):
    """Sends requests over one connection and returns how many were answered."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        *first, last = requests
        text = "".join(f"{each}\r\n" for each in first) + f"{last}Connection: close\r\n\r\n"
        connection.sendall(text.encode())
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
    return answer.count(b"HTTP/1.1 ")


def problems(service):
    """Floods a service and returns what is wrong."""
    one_of_each = [request(path, method) for path in PATHS for method in [*METHODS, "BREW"]]
    one_of_each += [request(path) for path in PATHS]
    send(service.address, one_of_each)
    send(service.address, [request("/", "CONNECT")])
    before = Samples(service.exposition())
    answered = 0
    for _ in range(REQUESTS // BATCH):
        answered += send(service.address, [request(random.choice(PATHS)) for _ in range(BATCH)])
    after = Samples(service.exposition())
    count = "http_server_request_duration_seconds_count"
    if answered != REQUESTS or after.sum(count) - before.sum(count) != REQUESTS:
        yield f"{service.name}: {answered} answers, {after.sum(count) - before.sum(count)} measured"
    if after.count != before.count:
        yield f"{service.name}: {before.count} series before and {after.count} after"
    print(f"    {service.name}: {after.count} series after {after.sum(count):.0f} requests")
