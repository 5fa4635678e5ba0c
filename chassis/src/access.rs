//! One access line per request, in common log format.

use std::{net::SocketAddr, time::SystemTime};

use axum::{
    body::HttpBody,
    extract::{ConnectInfo, Request},
    http::header::CONTENT_LENGTH,
    response::Response,
};
use futures_util::FutureExt;
use tracing::info;

use crate::path::UriAsSent;

/// The log target of access lines: `RUST_LOG=info,access=off` silences them.
pub const ACCESS: &str = "access";

/// Writes the access line when the response is ready to be sent.
///
/// Source: <https://httpd.apache.org/docs/current/logs.html#common>.
pub(crate) fn log<F: Future<Output = Response>>(
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> impl Future<Output = Response> {
    let write = tracing::enabled!(target: ACCESS, tracing::Level::INFO).then(|| line(&request));
    next(request).inspect(move |response| write.into_iter().for_each(|write| write(response)))
}

/// Keeps the part of a request that its access line contains, and writes the line with the
/// response.
fn line(request: &Request) -> impl FnOnce(&Response) + use<> {
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let client = client.map_or("-".to_owned(), |ip| ip.to_canonical().to_string());
    let as_sent = request.extensions().get::<UriAsSent>();
    let uri = as_sent.map_or_else(|| request.uri(), |as_sent| &as_sent.0).clone();
    let (method, version) = (request.method().clone(), request.version());
    move |response| {
        let status = response.status().as_u16();
        let length = response.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes: Option<u64> = length.or_else(|| response.body().size_hint().exact());
        let size = bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
        // The fixed-length date of HTTP has all the parts: "Sun, 06 Nov 1994 08:49:37 GMT".
        let date = httpdate::fmt_http_date(SystemTime::now());
        let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).escape_debug();
        info!(
            target: ACCESS,
            %client, %method, %path, status, bytes,
            "{client} - - [{day}/{month}/{year}:{time} +0000] \"{method} {path} {version:?}\" {status} {size}"
        );
    }
}
