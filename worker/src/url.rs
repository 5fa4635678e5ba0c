//! The URLs of rng and hasher.

use std::{fmt, str::FromStr};

use http::{Uri, uri::Authority};
use reqwest::Url;

/// The URL of a peer, to which the paths of requests are appended.
#[derive(Clone, Debug)]
pub struct BaseUrl(Url);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let is_plain = |url: &Url| {
            let has_user = !url.username().is_empty() || url.password().is_some();
            let has_more = url.query().is_some() || url.fragment().is_some();
            url.scheme() == "http" && url.has_host() && !has_user && !has_more
        };
        let mut url = Url::parse(value).ok().filter(is_plain);
        if let Some(url) = &mut url
            && !url.path().ends_with('/')
        {
            let folder = format!("{}/", url.path());
            url.set_path(&folder);
        }
        let expected = "an HTTP URL of host, port and path";
        let example = "http://rng/ or http://10.0.0.1:8080/";
        url.map(Self).ok_or_else(|| chassis::invalid_value(value, expected, example))
    }
}

impl BaseUrl {
    /// The host, and the port if the URL has one.
    pub(crate) fn authority(&self) -> anyhow::Result<Authority> {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().map_or(String::new(), |port| format!(":{port}"));
        Ok(format!("{host}{port}").parse()?)
    }

    /// The URL of a path below this one.
    pub(crate) fn join(&self, path: &str) -> anyhow::Result<Uri> {
        let url = self.0.join(path)?;
        let uri = Uri::builder().scheme("http").authority(self.authority()?);
        Ok(uri.path_and_query(url.path()).build()?)
    }
}

/// Host and port, as in `rng:80`.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port_or_known_default().unwrap_or_default();
        write!(f, "{}:{port}", self.0.host_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_host_port_and_path_and_nothing_else() {
        for valid in ["http://rng", "http://rng/", "http://[::1]:8080/below"] {
            assert!(valid.parse::<BaseUrl>().is_ok(), "{valid}");
        }
        for invalid in [
            "rng",
            "https://rng/",
            "http://me@rng/",
            "http://me:secret@rng/",
            "http://rng/?fast",
            "http://rng/#top",
        ] {
            let error = invalid.parse::<BaseUrl>().unwrap_err();
            assert!(error.contains("an HTTP URL of host, port and path"), "{invalid}: {error}");
        }
    }
}
