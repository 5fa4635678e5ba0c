//! Metrics as Prometheus scrapes them.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

use crate::Client;

/// Scrapes `/metrics` of an admin port: the value of each sample by its name and labels. Panics if
/// the text is not valid OpenMetrics.
///
/// Source: OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub fn metrics(admin: SocketAddr) -> HashMap<String, f64> {
    let mut client = Client::connect(admin);
    let accept = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.3";
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: admin\r\nAccept: {accept}\r\n\r\n"));
    let response = client.response();
    let text = response.text();
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some(media_type)),
        "{text}"
    );
    let lines = text.strip_suffix("# EOF\n").expect("an end");

    let (mut families, mut samples) = (HashSet::new(), HashMap::new());
    for line in lines.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            match words[..] {
                ["TYPE", family, "info"] => families.extend([format!("{family}_info")]),
                ["TYPE", family, "gauge"] => families.extend([family.to_owned()]),
                ["TYPE", family, "counter"] => families.extend([format!("{family}_total")]),
                ["TYPE", family, "histogram"] => families
                    .extend(["_bucket", "_count", "_sum"].map(|part| format!("{family}{part}"))),
                ["UNIT", family, unit] => assert!(family.ends_with(unit), "{line:?}"),
                ["HELP", _, help] => assert!(!help.is_empty(), "{line:?}"),
                _ => panic!("{line:?} in:\n{text}"),
            };
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let family = name.split('{').next().unwrap_or(name);
        assert!(families.contains(family), "{name} has no type in:\n{text}");
        let twice = samples.insert(name.to_owned(), value.parse().expect("a number"));
        assert_eq!(twice, None, "{name} occurs twice in:\n{text}");
    }
    samples
}

/// The name and labels of the sample that reports the version of a program.
pub fn build(service: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("dockercoins_build_info{{service=\"{service}\",version=\"{version}\"}}")
}
