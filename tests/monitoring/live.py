"""Runs the four services with a real Prometheus and checks what it scrapes."""

import math
import os
import pathlib
import re
import shutil
import socket
import time

import dashboard
import flood
import yaml
from documented import ROOT, SERVICES, metrics, queries, rules, series
from programs import Prometheus, Redis, Service, TimedOut, status, until
from samples import Samples, lint

# Short delays make the tests fast; rng is still the bottleneck.
DELAY = "10ms"
WORKERS = {"worker-1": {"CONCURRENCY": "1"}, "worker-2": {"CONCURRENCY": "2", "DOCKERCOINS_VERSION": "v9.9"}}
LOOPS = 3
# Series of errors: five kinds for rng, five for hasher, one for redis.
ERRORS = 11
STAGES = {"pause", "rng_queue", "rng_delay", "hasher_delay", "work", "network", "redis"}
PER_REQUEST = {"work", "network"}
# Panels without data unless there are errors.
ERROR_PANELS = {"Errors of workers, by peer and kind", "Responses with 5xx", "Alerts"}


class Application:
    """redis, one rng, hasher and webui, two workers, and Prometheus."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []
        try:
            self.redis = self.start(Redis, folder)
            self.rng = self.start(Service, folder, "rng", DELAY=DELAY)
            self.hasher = self.start(Service, folder, "hasher", DELAY=DELAY, FAULT_ENDPOINT="on")
            self.webui = self.start(Service, folder, "webui", REDIS_URL=self.redis.url)
            peers = {"RNG_URL": self.rng.url, "HASHER_URL": self.hasher.url, "REDIS_URL": self.redis.url}
            for name, settings in WORKERS.items():
                self.start(Service, folder, "worker", name, DELAY=DELAY, RETRY="1s", **peers, **settings)
            self.prometheus = self.start(Prometheus, folder, self.configuration())
        except BaseException:
            self.stop()
            raise

    def start(self, program, *arguments, **settings):
        self.running.append(program(*arguments, **settings))
        return self.running[-1]

    def stop(self):
        for program in reversed(self.running):
            program.stop()

    def services(self, service=None):
        found = (p for p in self.running if isinstance(p, Service) and p.process.poll() is None)
        return [p for p in found if service in (None, p.service)]

    def configuration(self):
        """monitoring/prometheus.yml with the addresses of the services and shorter intervals."""
        config = yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(self.folder / files) for files in config["rule_files"]]
        shutil.copytree(ROOT / "monitoring/rules", self.folder / "rules")
        # The alerts on the error budgets fire at once. Without errors, they never do.
        budgets = self.folder / "rules/budgets.yml"
        budgets.write_text(re.sub(r"for: \d+m", "for: 1s", budgets.read_text()))
        (job,) = config["scrape_configs"]
        (names,) = job.pop("dns_sd_configs")
        assert set(names["names"]) == set(SERVICES) and names["port"] == 9000, names
        job["static_configs"] = [
            {"targets": [s.admin for s in self.services(name)], "labels": {"__meta_dns_name": name}} for name in SERVICES
        ]
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        return file

    def samples(self, service):
        return [Samples(s.exposition()) for s in self.services(service)]

    def sum(self, service, name, /, **labels):
        return sum(samples.sum(name, **labels) for samples in self.samples(service))


def targets(app):
    """Prometheus finds all services, labelled with the names of their containers"""
    active = app.prometheus.get("targets")["activeTargets"]
    yield from (f"{t['scrapeUrl']}: {t['lastError']}" for t in active if t["health"] != "up")
    found = sorted(t["labels"]["container"] for t in active)
    if found != sorted(s.service for s in app.services()):
        yield f"found {found}"


def speed(app):
    """the speed is near the limit of rng and the prediction of webui"""
    started, units = time.monotonic(), app.sum("worker", "worker_units_total")
    time.sleep(5)
    speed = (app.sum("worker", "worker_units_total") - units) / (time.monotonic() - started)
    predicted = app.sum("webui", "webui_predicted_hashes_per_second")
    print(f"    {speed:.1f} units/s, {predicted:.1f} predicted")
    if not 0.3 * predicted < speed < 1.1 * predicted or not 40 < predicted <= 100:
        yield f"{speed} and {predicted}"


def stages(app):
    """all stages have data, and they add up to the time of the loops"""
    workers = app.services("worker")
    time_of = "worker_stage_duration_seconds_sum"
    for worker in workers:
        started, before = time.monotonic(), Samples(worker.exposition())
        time.sleep(3)
        after, elapsed = Samples(worker.exposition()), time.monotonic() - started
        loops = after.sum("worker_loops")
        spent = after.sum(time_of) - before.sum(time_of)
        if not 0.9 < spent / (elapsed * loops) < 1.1:
            yield f"{worker.name}: {spent} s in {elapsed} s of {loops} loops"
        if after.values(time_of, "stage") != STAGES:
            yield f"{worker.name}: {after.values(time_of, 'stage')}"
        units = after.sum("worker_units_total") - before.sum("worker_units_total")
        for stage in STAGES - {"redis"}:
            count = "worker_stage_duration_seconds_count"
            observed = after.sum(count, stage=stage) - before.sum(count, stage=stage)
            if not abs(observed / units - (2 if stage in PER_REQUEST else 1)) < 0.1:
                yield f"{worker.name}: {observed} observations of {stage} in {units} units"


def requests(app):
    """rng and hasher have served one request for each unit of work"""
    before = app.sum("worker", "worker_units_total")
    count = "http_server_request_duration_seconds_count"
    counted = {
        "rng": app.sum("rng", count, service="rng", http_request_method="GET", http_route="/{n}", http_response_status_code="200"),
        "hasher": app.sum(
            "hasher", count, service="hasher", http_request_method="POST", http_route="/", http_response_status_code="200"
        ),
    }
    after = app.sum("worker", "worker_units_total")
    for name, number in counted.items():
        if not before <= number <= after + LOOPS:
            yield f"{name}: {number} requests for {before} to {after} units"
    waited = app.sum("rng", "rng_queue_wait_seconds_count")
    if not counted["rng"] <= waited <= app.sum("rng", count) + LOOPS:
        yield f"{waited} waits in rng"


def gauges(app):
    """gauges are correct: lanes, queue, loops, workers, event streams"""
    (rng,), (webui,) = app.samples("rng"), app.samples("webui")
    if rng.sum("rng_lanes") != 1 or not 0 <= rng.sum("rng_queue_depth") <= LOOPS:
        yield f"{rng.sum('rng_lanes')} lanes, {rng.sum('rng_queue_depth')} in the queue"
    if app.sum("worker", "worker_loops") != LOOPS or webui.sum("webui_workers") != len(WORKERS):
        yield f"{app.sum('worker', 'worker_loops')} loops, {webui.sum('webui_workers')} workers"
    for worker in app.samples("worker"):
        if len(worker.each("worker_errors_total")) != ERRORS:
            yield f"not all kinds of errors have a series: {worker.each('worker_errors_total')}"
    age = time.time() - webui.sum("webui_last_reading_timestamp_seconds")
    if not 0 <= age < 3:
        yield f"the last read was {age} s ago"
    host, port = app.webui.address.rsplit(":", 1)
    streams = [socket.create_connection((host, int(port)), timeout=10) for _ in range(3)]
    for stream in streams:
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: webui\r\n\r\n")
        stream.recv(100)
    if app.sum("webui", "webui_event_streams") != 3:
        yield f"{app.sum('webui', 'webui_event_streams')} streams"
    for stream in streams:
        stream.close()
    until(5, "streams stay open", lambda: app.sum("webui", "webui_event_streams") == 0)


def versions(app):
    """each service exposes its version"""
    for service in app.services():
        version = WORKERS.get(service.name, {}).get("DOCKERCOINS_VERSION")
        built = Samples(service.exposition())
        if built.each("dockercoins_build_info", service=service.service) != [1.0]:
            yield f"{service.name}: no build info"
        if version and built.values("dockercoins_build_info", "version") != {version}:
            yield f"{service.name}: {built.values('dockercoins_build_info', 'version')}"


def processes(app):
    """the process metrics agree with /proc"""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    boot = next(int(line.split()[1]) for line in open("/proc/stat") if line.startswith("btime"))
    for service in app.services():
        proc = pathlib.Path(f"/proc/{service.id}")

        def measure():
            stat = (proc / "stat").read_text().rsplit(")", 1)[1].split()
            return {
                "process_cpu_seconds_total": (int(stat[11]) + int(stat[12])) / tick,
                "process_threads": int(stat[17]),
                "process_start_time_seconds": boot + int(stat[19]) / tick,
                "process_virtual_memory_bytes": int(stat[20]),
                "process_resident_memory_bytes": int(stat[21]) * page,
                "process_open_fds": len(list((proc / "fd").iterdir())),
            }

        before, reported, after = measure(), Samples(service.exposition()), measure()
        # The scrape itself opens a file, other connections change, and the kernel counts pages and boot time coarsely.
        allowed = {"process_start_time_seconds": 2, "process_open_fds": 12, "process_threads": 2}
        allowed |= {"process_resident_memory_bytes": 2e6, "process_virtual_memory_bytes": 2e8, "process_cpu_seconds_total": 0.02}
        for name, slack in allowed.items():
            low, high = sorted((before[name], after[name]))
            if not low - slack <= reported.sum(name) <= high + slack:
                yield f"{service.name}: {name} {reported.sum(name)}, not {low} to {high}"
        limit = next(line for line in (proc / "limits").read_text().splitlines() if line.startswith("Max open files"))
        if reported.sum("process_max_fds") != float(limit.split()[3]):
            yield f"{service.name}: process_max_fds {reported.sum('process_max_fds')}, not {limit}"


def accepted_by_promtool(app):
    """promtool accepts the metrics in the older text format"""
    for service in app.services():
        yield from (f"{service.name}: {line}" for line in lint(service.exposition("text/plain")))


def query_problem(app, query):
    """The problem of a query, or None."""
    response = app.prometheus.get("query", query=query)
    if "error" in response:
        return response["error"]
    values = [float(series["value"][1]) for series in response["result"]]
    return None if any(math.isfinite(value) for value in values) else "no data"


def problems(app, named_queries):
    for what, query in named_queries:
        if problem := query_problem(app, query):
            yield f"{what}: {problem}: {query}"


def grafana_dashboard(app):
    """each query of the Grafana dashboard has data, except those about errors"""
    yield from problems(app, ((title, query) for title, query in dashboard.queries() if title not in ERROR_PANELS))


def dashboard_with_errors(app):
    """the queries about errors have data when there are errors"""
    error_queries = [(title, query) for title, query in dashboard.queries() if title in ERROR_PANELS]
    until(20, "the queries about errors have no data", lambda: not list(problems(app, error_queries)))
    yield from () if len({title for title, _ in error_queries}) == len(ERROR_PANELS) else [f"only {error_queries}"]


def page(app):
    """each query of the page has data"""
    yield from problems(app, (("the page", query) for query in queries()))


def recorded(app):
    """Prometheus can evaluate each rule, and recording rules have data"""
    for group in app.prometheus.get("rules")["groups"]:
        yield from (f"{rule['name']}: {rule['lastError']}" for rule in group["rules"] if rule["health"] != "ok")
    yield from problems(app, ((rule["record"], rule["record"]) for _, rule in rules() if "record" in rule))


def no_alerts(app):
    """no alert fires without errors"""
    firing = app.prometheus.get("query", query='ALERTS{alertstate="firing"}')["result"]
    yield from (str(alert["metric"]) for alert in firing)


def alerts_on_faults(app):
    """errors on demand make the alerts on the error budgets fire"""
    expected = {"DockerCoinsHttpBudgetBurn", "DockerCoinsWorkBudgetBurn"}

    def firing():
        alerts = app.prometheus.get("query", query='ALERTS{alertstate="firing"}')["result"]
        return {alert["metric"]["alertname"] for alert in alerts}

    app.hasher.change_faults("errors=50")
    try:
        until(60, "not all alerts fire", lambda: expected <= firing())
    finally:
        app.hasher.change_faults("errors=0")
    return []


def consistent_counts(app):
    """after rng stops, all work is flushed, and workers, hasher, webui and redis have the same numbers"""
    app.rng.stop()

    def settled():
        return app.sum("worker", "worker_pending_units") == 0 and len(app.services("worker")) == len(WORKERS)

    time.sleep(1.5)
    until(20, "work stays pending", settled)
    time.sleep(1.5)
    redis = {"hashes": app.redis.number("get", "hashes"), "coins": app.redis.number("hlen", "wallet")}
    reported = {
        "hashes": {
            "workers": app.sum("worker", "worker_units_total"),
            "hasher": app.sum(
                "hasher", "http_server_request_duration_seconds_count", http_route="/", http_response_status_code="200"
            ),
            "webui": app.sum("webui", "webui_hashes"),
        },
        "coins": {"workers": app.sum("worker", "worker_coins_total"), "webui": app.sum("webui", "webui_coins")},
    }
    for what, numbers in reported.items():
        print(f"    {redis[what]} {what}")
        if redis[what] == 0:
            yield f"no {what}"
        yield from (f"{name}: {number} {what}, redis {redis[what]}" for name, number in numbers.items() if number != redis[what])
    if app.sum("worker", "worker_pending_coins") != 0:
        yield "coins are pending"


def errors(app):
    """workers count connection errors after rng has stopped"""
    for samples in app.samples("worker"):
        if not samples.sum("worker_errors_total", peer="rng", kind="connect") >= 1:
            yield f"{samples.values('worker_errors_total', 'peer')} {samples.values('worker_errors_total', 'kind')}"


def unavailable(app):
    """without redis, webui responds with 503, which is counted, and its last read gets older"""
    app.redis.stop()
    until(10, "webui does not respond with 503", lambda: status(f"{app.webui.url}json") == 503)
    count = "http_server_request_duration_seconds_count"
    if not app.sum("webui", count, http_route="/json", http_response_status_code="503") >= 1:
        yield "the 503 is not counted"
    read = app.sum("webui", "webui_last_reading_timestamp_seconds")
    time.sleep(2)
    if app.sum("webui", "webui_last_reading_timestamp_seconds") != read:
        yield "the time of the last read changed"
    if not app.sum("webui", "db_client_operation_duration_seconds_count", db_operation_name="read", error_type="error") >= 1:
        yield "the failed read is not counted"


def documented(app, scraped):
    """each service has exactly the documented metrics, with their types and labels"""
    for service in SERVICES:
        found = {}
        for text in scraped[service]:
            for name, kind, labels in Samples(text).described():
                found[name] = (kind, labels)
        expected = {name: (m.type, m.labels) for name, m in metrics().items() if service in m.services}
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                yield f"{service}: {name} is {found.get(name)} and documented as {expected.get(name)}"


def stored_metrics(app):
    """Prometheus stores all documented metrics"""
    names = set(app.prometheus.get("label/__name__/values"))
    expected = {one for name, metric in metrics().items() for one in series(name, metric)}
    yield from (f"{name} is missing" for name in sorted(expected - names))


def floods(folder):
    """10,000 different paths and methods add no series to rng, hasher or webui"""
    settings = {"rng": {"DELAY": "0s"}, "hasher": {"DELAY": "0s"}, "webui": {"REDIS_URL": "redis://127.0.0.1:1"}}
    for name, more in settings.items():
        service = Service(folder, name, f"flooded-{name}", RUST_LOG="info,access=off", **more)
        try:
            yield from flood.problems(service)
        finally:
            service.stop()


WORKING = (speed, stages, requests, gauges, versions, processes, accepted_by_promtool)
WATCHED = (targets, grafana_dashboard, page, recorded, no_alerts, alerts_on_faults)
FAILING = (consistent_counts, errors, unavailable, dashboard_with_errors, stored_metrics)


def run(folder, report):
    """Starts everything and reports each check."""
    app = Application(folder)

    def check(one, *arguments):
        try:
            report(one.__doc__, list(one(app, *arguments)))
        except TimedOut as error:
            report(one.__doc__, [str(error)])

    try:
        until(20, "nothing is mined", lambda: app.sum("worker", "worker_units_total") > 100)
        status(f"{app.webui.url}json")
        for one in (*WORKING, *WATCHED):
            check(one)
        scraped = {name: [service.exposition() for service in app.services(name)] for name in SERVICES}
        for one in FAILING:
            check(one)
        for name in SERVICES:
            scraped[name] += [service.exposition() for service in app.services(name)]
        check(documented, scraped)
    finally:
        app.stop()
    report(floods.__doc__, list(floods(folder)))
