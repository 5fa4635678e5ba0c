"""All policies about rendered objects."""

import links
import load
import network
import pods
import restricted

POLICIES = (
    restricted.restricted,
    pods.probes,
    pods.resources,
    pods.images,
    pods.grace,
    pods.token,
    pods.env,
    pods.secrets,
    pods.storage,
    pods.low_ports,
    links.objects,
    links.labels,
    links.selectors,
    links.services,
    links.routes,
    links.autoscaler,
    links.metrics_exist,
    links.monitoring,
    links.budgets,
    network.arrows,
    load.load,
)
