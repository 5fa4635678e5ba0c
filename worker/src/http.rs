//! The peers over HTTP.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rand::seq::SliceRandom;
use reqwest::{
    Client, Request,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use crate::{Connections, Peers, Settings, peers::PeerError};

type BoxError = Box<dyn Error + Send + Sync>;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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
        let client = match settings.connections {
            Connections::PerRequest => Client::builder().pool_max_idle_per_host(0),
            Connections::KeepAlive => Client::builder(),
            Connections::Http2 => Client::builder().http2_prior_knowledge(),
        };
        let client = client
            .dns_resolver(Arc::new(Shuffled(resolver)))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, timeout: settings.timeout })
    }

    async fn fetch(&self, request: Request, limit: usize) -> Result<Response<Bytes>, BoxError> {
        let answer: Response<reqwest::Body> = self.client.execute(request).await?.into();
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, limit).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl Peers for Http {
    async fn send(&self, request: Request, limit: usize) -> Result<Response<Bytes>> {
        let error = match self.fetch(request, limit).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let (kind, text) = match error.downcast_ref::<reqwest::Error>() {
            _ if error.is::<LengthLimitError>() => {
                ("answer", format!("more than {limit} bytes came"))
            }
            Some(error) if error.is_timeout() && error.is_connect() => {
                ("connect", format!("no connection within {CONNECT_TIMEOUT:?}"))
            }
            Some(error) if error.is_timeout() => {
                ("timeout", format!("no answer within {:?}", self.timeout))
            }
            Some(error) if error.is_connect() => ("connect", root_cause(error).to_string()),
            _ => ("other", root_cause(&*error).to_string()),
        };
        Err(PeerError::new(kind, text).into())
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
