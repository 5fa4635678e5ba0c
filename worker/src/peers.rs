//! rng and hasher as the worker sees them: it believes nothing that it has not checked.

use std::{error::Error, fmt, future::Future, str::FromStr};

use anyhow::{Context, Result};
use bytes::Bytes;
use chassis::{Served, ServerTiming, trace};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE, uri::Authority,
};
use reqwest::Url;

/// Random bytes in a unit of work.
pub(crate) const BLOCK: usize = 32;

/// Hex digits of a hash.
const DIGITS: usize = 64;

/// The largest answer that is read, in bytes, where right answers are smaller.
const MAX_ANSWER: usize = 1024;

/// How requests reach the peers: over HTTP in life, straight into their routers in a simulation.
pub trait Peers: Send + Sync + 'static {
    /// Sends a request and returns the whole answer, whatever its status, of up to `limit` bytes. Fails
    /// with [`Unanswered`] when it is to be sent again.
    fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>>> + Send;
}

/// Where a peer is. Its requests are built below this URL, which may have a path.
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
        let right = "http://rng/ or http://10.0.0.1:8080/";
        url.map(Self)
            .ok_or_else(|| chassis::wrong(value, "an HTTP URL of host, port and path", right))
    }
}

impl BaseUrl {
    /// The host, and the port if the URL has one.
    pub(crate) fn authority(&self) -> Result<Authority> {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().map_or(String::new(), |port| format!(":{port}"));
        Ok(format!("{host}{port}").parse()?)
    }

    /// The URL of something below this one.
    fn join(&self, path: &str) -> Result<Uri> {
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

/// What a peer answered, and what it told of itself.
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) timing: Option<ServerTiming>,
    pub(crate) served: Option<Served>,
}

/// How asking a peer failed, by one of few names, and in words.
#[derive(Debug)]
pub(crate) struct PeerError {
    pub(crate) kind: &'static str,
    text: String,
}

impl PeerError {
    pub(crate) const KINDS: [&str; 5] = ["connect", "timeout", "status", "answer", "other"];

    pub(crate) fn new(kind: &'static str, text: String) -> Self {
        Self { kind, text }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for PeerError {}

/// A connection that was open already has ended instead of bringing an answer, and why. Asking again is
/// right, since nothing is counted before an answer is there.
#[derive(Debug)]
pub struct Unanswered(pub(crate) String);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unanswered {}

/// The hashes of a batch, checked: lowercase hex, in lines where there is more than one.
pub(crate) struct Hashes(Bytes);

impl Hashes {
    /// One hash after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.chunks(DIGITS + 1).map(|line| &line[..DIGITS])
    }
}

/// Where rng and hasher are asked for batches.
pub(crate) struct Questions {
    rng: (BaseUrl, Uri),
    hasher: (BaseUrl, Uri),
    batch: usize,
}

impl Questions {
    /// Batches of so many units of work; the original services know only batches of one.
    pub(crate) fn new(rng: &BaseUrl, hasher: &BaseUrl, batch: usize) -> Result<Self> {
        let hash = if batch == 1 { "" } else { "blocks/32" };
        Ok(Self {
            rng: (rng.clone(), rng.join(&(batch * BLOCK).to_string())?),
            hasher: (hasher.clone(), hasher.join(hash)?),
            batch,
        })
    }

    /// Asks rng for the random bytes of a batch.
    pub(crate) async fn random_bytes(&self, peers: &impl Peers) -> Result<Answer<Bytes>> {
        let (rng, uri) = &self.rng;
        let right = self.batch * BLOCK;
        let check = |body: Bytes| match body.len() == right {
            // It waits for hasher, and would keep the buffer of its connection from being used again.
            true if right <= MAX_ANSWER => Ok(Bytes::copy_from_slice(&body)),
            true => Ok(body),
            false => Err(format!("{} bytes came instead of {right}", body.len())),
        };
        let question = || {
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = uri.clone();
            request
        };
        trace::call("GET rng", exchange(peers, question, right, "", check))
            .await
            .with_context(|| rng.to_string())
    }

    /// Asks hasher for the hash of each 32 bytes.
    pub(crate) async fn hash(&self, peers: &impl Peers, bytes: Bytes) -> Result<Answer<Hashes>> {
        let (hasher, uri) = &self.hasher;
        let right = if self.batch == 1 { DIGITS } else { self.batch * (DIGITS + 1) };
        let check = |body: Bytes| {
            if body.len() != right {
                let unit = if self.batch == 1 { "hex digits" } else { "bytes of hex in lines" };
                return Err(format!("{} bytes came instead of {right} {unit}", body.len()));
            }
            match body.chunks(DIGITS + 1).all(is_hash) {
                true => Ok(Hashes(body)),
                false => Err(format!("something else came instead of {DIGITS} hex digits")),
            }
        };
        let question = || {
            let mut request = Request::new(bytes.clone());
            (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri.clone());
            let octets = HeaderValue::from_static("application/octet-stream");
            request.headers_mut().insert(CONTENT_TYPE, octets);
            request
        };
        let unknown = if self.batch == 1 { "" } else { "; the original knows only BATCH=1" };
        trace::call("POST hasher", exchange(peers, question, right, unknown, check))
            .await
            .with_context(|| hasher.to_string())
    }
}

/// Whether a line begins with the digits of a hash, and ends there.
fn is_hash(line: &[u8]) -> bool {
    let (digits, end) = line.split_at(DIGITS);
    // Without a branch for each digit, which would take longer than hashing.
    let digits = digits
        .iter()
        .fold(true, |right, digit| right & (digit.is_ascii_digit() | matches!(digit, b'a'..=b'f')));
    digits && (end.is_empty() || end == b"\n")
}

/// Sends a question and checks the answer, whose body has so many bytes if it is right. `unknown` is
/// what else is to be said of a peer that does not know what it was asked for.
async fn exchange<T>(
    peers: &impl Peers,
    question: impl Fn() -> Request<Bytes>,
    right: usize,
    unknown: &str,
    check: impl FnOnce(Bytes) -> Result<T, String>,
) -> Result<Answer<T>> {
    let answer = loop {
        let mut request = question();
        trace::inject(request.headers_mut());
        // In a box, since it is large and what is around it would copy it again and again.
        match Box::pin(peers.send(request, right.max(MAX_ANSWER))).await {
            Err(error) if error.is::<Unanswered>() => {}
            answer => break answer?,
        }
    };
    if answer.status() != StatusCode::OK {
        let status = answer.status();
        let unknown = if status == StatusCode::NOT_FOUND { unknown } else { "" };
        return Err(PeerError::new("status", format!("status {status}{unknown}")).into());
    }
    let (timing, served) = (ServerTiming::of(answer.headers()), Served::of(answer.headers()));
    let value = check(answer.into_body()).map_err(|text| PeerError::new("answer", text))?;
    Ok(Answer { value, timing, served })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_host_port_and_path_and_nothing_else() {
        for right in ["http://rng", "http://rng/", "http://[::1]:8080/below"] {
            assert!(right.parse::<BaseUrl>().is_ok(), "{right}");
        }
        for wrong in [
            "rng",
            "https://rng/",
            "http://me@rng/",
            "http://me:secret@rng/",
            "http://rng/?fast",
            "http://rng/#top",
        ] {
            let error = wrong.parse::<BaseUrl>().unwrap_err();
            assert!(error.contains("an HTTP URL of host, port and path"), "{wrong}: {error}");
        }
    }
}
