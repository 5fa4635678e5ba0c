//! Extra slashes at the start of a path, plain or encoded, which the original ignores: scripts append
//! `/32` to a URL that ends with a slash.

use axum::http::{Request, Uri};

/// A slash, plain or encoded.
const SLASHES: [&str; 3] = ["/", "%2F", "%2f"];

/// The URI with the extra slashes, for the access line; an extension of the request.
#[derive(Clone)]
pub(crate) struct UriAsSent(pub(crate) Uri);

/// Removes extra slashes at the start of the path.
pub(crate) fn ignore_extra_slashes<B>(request: &mut Request<B>) {
    let Some(uri) = without_extra_slashes(request.uri()) else { return };
    let as_sent = std::mem::replace(request.uri_mut(), uri);
    request.extensions_mut().insert(UriAsSent(as_sent));
}

/// The URI without extra slashes; none if there are none.
fn without_extra_slashes(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str().strip_prefix('/')?;
    let mut rest = path;
    while let Some(shorter) = SLASHES.into_iter().find_map(|slash| rest.strip_prefix(slash)) {
        rest = shorter;
    }
    if rest.len() == path.len() {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/{rest}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_slashes_at_the_start_are_ignored() {
        for (path, expected) in [
            ("//32", Some("/32")),
            ("///32//", Some("/32//")),
            ("/%2F32", Some("/32")),
            ("/%2f/%2F32?a=//b", Some("/32?a=//b")),
            ("//", Some("/")),
            ("//?x", Some("/?x")),
            ("/", None),
            ("/32", None),
            ("/32//", None),
            ("/%2532", None),
            ("*", None),
            ("http://rng//32", Some("http://rng/32")),
        ] {
            let uri = without_extra_slashes(&path.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(uri.as_deref(), expected, "{path}");
        }
    }
}
