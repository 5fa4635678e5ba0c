//! A new connection to a peer, at any of the addresses behind its name.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::uri::Authority;
use rand::seq::SliceRandom;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustix::net::sockopt;
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout, timeout_at},
};

use crate::peers::PeerError;

/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a peer that says nothing is asked whether it is still there; it is given up after twice
/// that.
const PROBE: Duration = Duration::from_secs(15);

/// The port where a URL has none.
const PORT: u16 = 80;

/// Finds the addresses behind a name. An address with port 0 means the port of the URL.
pub type Resolver = Arc<dyn Fn(&str) -> Option<Vec<SocketAddr>> + Send + Sync>;

/// Connects to one of the addresses of a peer, each of which has its share of the time.
pub(crate) async fn connect(resolver: &Resolver, peer: &Authority) -> Result<TcpStream, PeerError> {
    let failed = |error: io::Error| PeerError::new("connect", error.to_string());
    let host = peer.host().trim_matches(['[', ']']);
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let addresses = timeout_at(deadline, addresses(resolver(host), host)).await;
    let addresses = addresses.map_err(|_| no_connection())?.map_err(failed)?;
    let share = deadline.saturating_duration_since(Instant::now())
        / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = no_connection();
    for mut address in addresses {
        if address.port() == 0 {
            address.set_port(peer.port_u16().unwrap_or(PORT));
        }
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return prepared(stream).map_err(failed),
            Ok(Err(error)) => failed(error),
            Err(_) => no_connection(),
        };
    }
    Err(last)
}

/// A stream that ends when its peer has vanished.
fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE)?;
    sockopt::set_tcp_user_timeout(&stream, 2 * PROBE.as_millis() as u32)?;
    Ok(stream)
}

pub(crate) fn no_connection() -> PeerError {
    PeerError::new("connect", format!("no connection within {CONNECT_TIMEOUT:?}"))
}

/// Resolves a name for each new connection and tries its addresses in random order, because a
/// resolver may sort them, and the first one alone would get every request.
async fn addresses(known: Option<Vec<SocketAddr>>, name: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = match known {
        Some(addresses) => addresses,
        None => lookup_host((name, 0)).await?.collect(),
    };
    addresses.shuffle(&mut rand::rng());
    Ok(addresses)
}

/// The same for reqwest.
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&silent, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&silent, 0).unwrap();
        let silent_at = getsockname(&silent).unwrap().try_into().unwrap();
        let _waiting = std::net::TcpStream::connect(silent_at).unwrap();
        let good = TcpListener::bind("127.0.0.1:0").unwrap();
        let known = vec![silent_at, good.local_addr().unwrap()];
        let resolver: Resolver = Arc::new(move |_| Some(known.clone()));
        // Their order is random.
        for _ in 0..4 {
            let stream = connect(&resolver, &Authority::from_static("rng")).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        }
    }
}
