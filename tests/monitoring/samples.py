"""A strict parser of exposed metrics."""

import subprocess

from prometheus_client.openmetrics.parser import text_string_to_metric_families

SUFFIX = {"counter": "_total", "info": "_info"}


class Samples:
    """One scrape. The parser rejects text that OpenMetrics does not allow."""

    def __init__(self, text):
        self.families = list(text_string_to_metric_families(text))
        self.count = sum(len(family.samples) for family in self.families)

    def each(self, name, /, **labels):
        """The values of the series with this name and these labels."""
        samples = (sample for family in self.families for sample in family.samples if sample.name == name)
        return [s.value for s in samples if all(s.labels.get(label) == value for label, value in labels.items())]

    def sum(self, name, /, **labels):
        return sum(self.each(name, **labels))

    def values(self, name, label):
        """The values of a label of a metric."""
        return {s.labels[label] for f in self.families for s in f.samples if s.name == name}

    def described(self):
        """The type and labels of each metric that has a sample."""
        for family in self.families:
            labels = {label for sample in family.samples for label in sample.labels}
            if family.type == "histogram":
                labels -= {"le"}
            if family.samples:
                yield family.name + SUFFIX.get(family.type, ""), family.type, frozenset(labels)


def lint(text):
    """The complaints of promtool, which reads only the older text format."""
    result = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True)
    return (result.stdout + result.stderr).decode().splitlines() + ([] if result.returncode == 0 else ["rejected"])
