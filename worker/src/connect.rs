//! A new connection to a peer, at any of the addresses behind its name.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::uri::Authority;
use rand::seq::SliceRandom;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::peers::PeerError;

/// How long connecting may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The port where a URL has none.
const PORT: u16 = 80;

/// Finds the addresses behind a name. An address with port 0 means the port of the URL.
pub type Resolver = Arc<dyn Fn(&str) -> Option<Vec<SocketAddr>> + Send + Sync>;

/// Connects to one of the addresses of a peer.
pub(crate) async fn connect(resolver: &Resolver, peer: &Authority) -> Result<TcpStream, PeerError> {
    let connecting = async {
        let host = peer.host().trim_matches(['[', ']']);
        let mut addresses = addresses(resolver(host), host).await?;
        for address in addresses.iter_mut().filter(|address| address.port() == 0) {
            address.set_port(peer.port_u16().unwrap_or(PORT));
        }
        let stream = TcpStream::connect(&*addresses).await?;
        stream.set_nodelay(true)?;
        io::Result::Ok(stream)
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(stream) => stream.map_err(|error| PeerError::new("connect", error.to_string())),
        Err(_) => Err(no_connection()),
    }
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
