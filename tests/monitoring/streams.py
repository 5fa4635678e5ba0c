"""Measures what a thousand browsers cost webui and redis."""

import resource
import selectors
import socket
import time

from programs import Redis, Service
from samples import Samples

STREAMS = 1000
WORKERS = 20
SECONDS = 10
REQUEST = b"GET /events HTTP/1.1\r\nHost: webui\r\n\r\n"
# How often redis has returned the newest coins, which only webui requests.
CALLS = "return tonumber(redis.call('INFO', 'commandstats'):match('cmdstat_lrange:calls=(%d+)') or 0)"
EVENTS = (b"event: whole\n", b"event: patch\n")


def count_events(seconds, streams):
    """Counts the events of each stream for this number of seconds, and the bytes of all of them."""
    selector = selectors.DefaultSelector()
    events, size = [0] * len(streams), 0
    for number, stream in enumerate(streams):
        selector.register(stream, selectors.EVENT_READ, number)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            text = key.fileobj.recv(1 << 20)
            if not text:
                raise ConnectionError("webui has closed a stream")
            events[key.data] += sum(text.count(event) for event in EVENTS)
            size += len(text)
    selector.close()
    return events, size


def thousand_streams(folder):
    """a thousand event streams cost webui and redis little"""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    redis = Redis(folder)
    rng, hasher = Service(folder, "rng"), Service(folder, "hasher")
    urls = {"RNG_URL": f"http://{rng.address}/", "HASHER_URL": f"http://{hasher.address}/", "REDIS_URL": redis.url}
    worker = lambda n: Service(folder, "worker", f"worker{n}", DOCKERCOINS_VERSION=f"v0.{n % 2}", **urls)
    workers = [worker(n) for n in range(WORKERS)]
    webui = Service(folder, "webui", REDIS_URL=redis.url)
    host, port = webui.address.rsplit(":", 1)
    usage = lambda: Samples(webui.exposition())
    memory, cpu = "process_resident_memory_bytes", "process_cpu_seconds_total"
    reads = lambda: redis.number("EVAL", CALLS, "0")
    idle = usage().sum(memory)
    streams = [socket.create_connection((host, port)) for _ in range(STREAMS)]
    for stream in streams:
        stream.sendall(REQUEST)
    count_events(20, streams)
    started, before, calls = time.monotonic(), usage(), reads()
    events, size = count_events(SECONDS, streams)
    elapsed, after, calls = time.monotonic() - started, usage(), reads() - calls
    cores = (after.sum(cpu) - before.sum(cpu)) / elapsed
    print(
        f"    {STREAMS} streams: {cores:.3f} cores, {idle / 1e6:.1f} to {after.sum(memory) / 1e6:.1f} MB, "
        f"redis read {calls / elapsed:.1f} times a second, {min(events)} to {max(events)} events each in {elapsed:.0f} s, "
        f"{size / sum(events):.0f} bytes per event"
    )
    if after.sum("webui_event_streams") != STREAMS:
        yield f"{after.sum('webui_event_streams')} streams are counted"
    if calls > elapsed + 2 or calls < 0.5 * elapsed:
        yield f"redis was read {calls} times in {elapsed} s"
    if min(events) < 0.5 * elapsed or max(events) > elapsed + 2:
        yield f"{min(events)} to {max(events)} events in {elapsed} s"
    # A whole page has ten times as many bytes.
    if size / sum(events) > 5000:
        yield f"{size / sum(events)} bytes per event"
    if after.sum(memory) > idle + 64e6:
        yield f"{after.sum(memory)} bytes of memory"
    if cores > 0.5:
        yield f"{cores} cores"
    stopping = time.monotonic()
    webui.stop()
    if time.monotonic() - stopping > 5:
        yield f"stopping took {time.monotonic() - stopping} s"
    if any(stream.recv(1 << 20) and stream.recv(1 << 20) for stream in streams[:: STREAMS // 10]):
        yield "streams stay open after the end"
    for part in [*workers, rng, hasher]:
        part.stop()
    redis.stop()
