//! rng and hasher as the worker sees them: it believes nothing that it has not checked.

use std::{
    error::Error, fmt, future::Future, net::SocketAddr, str::FromStr, sync::Arc, time::Duration,
};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use chassis::{Served, ServerTiming, trace};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use rand::seq::SliceRandom;
use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use crate::{Connections, Settings};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest answer that is read, in bytes; right answers have at most 64.
const MAX_ANSWER: usize = 1024;

/// How requests reach the peers: over HTTP in life, straight into their routers in a simulation.
pub trait Peers: Send + Sync + 'static {
    /// Sends a request and returns the whole answer, whatever its status.
    fn send(&self, request: Request<Bytes>)
    -> impl Future<Output = Result<Response<Bytes>>> + Send;
}

/// Where a peer is. Its requests are built below this URL, which may have a path.
#[derive(Clone, Debug)]
pub struct BaseUrl(Url);

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let mut url = Url::parse(value).ok().filter(|url| url.scheme() == "http" && url.has_host());
        if let Some(url) = &mut url
            && !url.path().ends_with('/')
        {
            let folder = format!("{}/", url.path());
            url.set_path(&folder);
        }
        let right = "http://rng/ or http://10.0.0.1:8080/";
        url.map(Self).ok_or_else(|| chassis::wrong(value, "an HTTP URL", right))
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

    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for PeerError {}

/// Asks rng for 32 random bytes.
pub(crate) async fn random_bytes(peers: &impl Peers, rng: &BaseUrl) -> Result<Answer<[u8; 32]>> {
    let bytes = |body: Bytes| {
        let text = || format!("{} bytes came instead of 32", body.len());
        body[..].try_into().map_err(|_| PeerError::new("answer", text()))
    };
    let request = Request::get(rng.0.join("32")?.as_str()).body(Bytes::new())?;
    trace::call("GET rng", exchange(peers, request, bytes)).await.with_context(|| rng.to_string())
}

/// Asks hasher for the hash of the bytes, in hex.
pub(crate) async fn hash(
    peers: &impl Peers,
    hasher: &BaseUrl,
    bytes: [u8; 32],
) -> Result<Answer<String>> {
    let request = Request::post(hasher.0.as_str())
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Bytes::copy_from_slice(&bytes))?;
    let asking = trace::call("POST hasher", exchange(peers, request, hex_digits));
    asking.await.with_context(|| hasher.to_string())
}

fn hex_digits(body: Bytes) -> Result<String, PeerError> {
    if body.len() != 64 {
        let text = format!("{} bytes came instead of 64 hex digits", body.len());
        return Err(PeerError::new("answer", text));
    }
    let lowercase = body.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let text = String::from_utf8(body.into()).ok().filter(|_| lowercase);
    text.ok_or_else(|| PeerError::new("answer", "something else came instead of 64 hex digits"))
}

async fn exchange<T>(
    peers: &impl Peers,
    mut request: Request<Bytes>,
    read: impl FnOnce(Bytes) -> Result<T, PeerError>,
) -> Result<Answer<T>> {
    trace::inject(request.headers_mut());
    // In a box, since it is large and what is around it would copy it again and again.
    let answer = Box::pin(peers.send(request)).await?;
    if answer.status() != StatusCode::OK {
        return Err(PeerError::new("status", format!("status {}", answer.status())).into());
    }
    let (timing, served) = (ServerTiming::of(answer.headers()), Served::of(answer.headers()));
    Ok(Answer { value: read(answer.into_body())?, timing, served })
}

/// Finds the addresses behind a name. An address with port 0 means the port of the URL.
pub type Resolver = Arc<dyn Fn(&str) -> Option<Vec<SocketAddr>> + Send + Sync>;

/// The peers over HTTP.
pub struct Http {
    client: Client,
    timeout: Duration,
}

impl Http {
    /// A client after the settings; names that `resolver` does not know are left to the host.
    pub fn new(settings: &Settings, resolver: Resolver) -> Result<Self> {
        let idle = match settings.connections {
            Connections::PerRequest => 0,
            Connections::KeepAlive => usize::MAX,
        };
        let client = Client::builder()
            .dns_resolver(Arc::new(Shuffled(resolver)))
            .pool_max_idle_per_host(idle)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, timeout: settings.timeout })
    }

    async fn fetch(&self, request: Request<Bytes>) -> reqwest::Result<Option<Response<Bytes>>> {
        let mut answer = self.client.execute(request.try_into()?).await?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = Response::new(body.freeze());
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(Some(whole))
    }
}

impl Peers for Http {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let error = match self.fetch(request).await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => PeerError::new("answer", format!("more than {MAX_ANSWER} bytes came")),
            Err(error) if error.is_timeout() && error.is_connect() => {
                PeerError::new("connect", format!("no connection within {CONNECT_TIMEOUT:?}"))
            }
            Err(error) if error.is_timeout() => {
                PeerError::new("timeout", format!("no answer within {:?}", self.timeout))
            }
            Err(error) if error.is_connect() => {
                PeerError::new("connect", root_cause(&error).to_string())
            }
            Err(error) => PeerError::new("other", root_cause(&error).to_string()),
        };
        Err(error.into())
    }
}

/// The innermost error, which says what happened; the outer ones say where in the client.
fn root_cause<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// Resolves a name for each new connection and tries its addresses in random order, because a
/// resolver may sort them, and the first one alone would get every request.
struct Shuffled(Resolver);

impl Resolve for Shuffled {
    fn resolve(&self, name: Name) -> Resolving {
        let known = (self.0)(name.as_str());
        Box::pin(async move {
            let mut addresses = match known {
                Some(addresses) => addresses,
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect(),
            };
            addresses.shuffle(&mut rand::rng());
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
