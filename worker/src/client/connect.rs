//! A new connection to one of the addresses of a peer.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::uri::Authority;
use rand::seq::SliceRandom;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustix::net::sockopt;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};

use crate::transport::{ErrorKind, Peer, RequestError};

/// How long connecting may take, including the look-up of the name.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval of TCP keep-alive probes. A connection ends after two without a reply.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// The port of a URL without one.
const DEFAULT_PORT: u16 = 80;

/// Returns the addresses of a name, or none to look it up. An address with port 0 gets the port of
/// the URL.
pub type Resolver = Arc<dyn Fn(&str) -> Option<Vec<SocketAddr>> + Send + Sync>;

/// Connects to one of the addresses of a peer; each gets an equal share of the time.
pub(crate) async fn connect(
    peer: Peer,
    resolver: &Resolver,
    authority: &Authority,
) -> Result<TcpStream, RequestError> {
    let failed = |error: io::Error| RequestError::new(peer, ErrorKind::Connect, error.to_string());
    let host = authority.host().trim_matches(['[', ']']);
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let addresses = timeout_at(deadline, addresses(resolver(host), host)).await;
    let addresses = addresses.map_err(|_| timed_out(peer))?.map_err(failed)?;
    let share = deadline.saturating_duration_since(Instant::now())
        / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last_error = timed_out(peer);
    for mut address in addresses {
        if address.port() == 0 {
            address.set_port(authority.port_u16().unwrap_or(DEFAULT_PORT));
        }
        last_error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return configured(stream).map_err(failed),
            Ok(Err(error)) => failed(error),
            Err(_) => timed_out(peer),
        };
    }
    Err(last_error)
}

/// Makes the connection end when its peer no longer responds.
fn configured(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, 2)?;
    // While sent data is unacknowledged, there are no probes. Only Linux has a timeout for that;
    // elsewhere, `TIMEOUT` ends the request.
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(&stream, 2 * PROBE_INTERVAL.as_millis() as u32)?;
    Ok(stream)
}

pub(crate) fn timed_out(peer: Peer) -> RequestError {
    RequestError::new(peer, ErrorKind::Connect, format!("no connection within {CONNECT_TIMEOUT:?}"))
}

/// The addresses of a name in random order: a resolver may sort them, and then the first one would
/// get every request.
async fn addresses(known: Option<Vec<SocketAddr>>, name: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = match known {
        Some(addresses) => addresses,
        None => lookup_host((name, 0)).await?.collect(),
    };
    addresses.shuffle(&mut rand::rng());
    Ok(addresses)
}

/// The same order of addresses for reqwest.
pub(crate) struct Shuffled(pub(crate) Resolver);

impl Resolve for Shuffled {
    fn resolve(&self, name: Name) -> Resolving {
        let known = (self.0)(name.as_str());
        Box::pin(async move {
            let addresses = addresses(known, name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

// Only on Linux, a short backlog makes a listener silent.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_respond_leaves_time_for_the_others() {
        let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&silent, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&silent, 0).unwrap();
        let silent_address = getsockname(&silent).unwrap().try_into().unwrap();
        let _waiting = std::net::TcpStream::connect(silent_address).unwrap();
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let known = vec![silent_address, good.local_addr().unwrap()];
        let resolver: Resolver = Arc::new(move |_| Some(known.clone()));
        // Their order is random.
        for _ in 0..4 {
            let stream =
                connect(Peer::Rng, &resolver, &Authority::from_static("rng")).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        }
    }
}
