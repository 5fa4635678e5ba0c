//! Conditional and range requests for content in memory.

use std::ops::RangeInclusive;

use axum::{
    body::Bytes,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
        },
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use sha2::{Digest, Sha256};

/// Answers a GET request: with 304 if the client already has this content, with the range that it
/// asks for, or with all of it.
///
/// Source: RFC 9110, sections 13 and 14, <https://www.rfc-editor.org/rfc/rfc9110>.
pub(crate) fn respond(request: &HeaderMap, content_type: &'static str, content: Bytes) -> Response {
    let etag = format!("\"{}\"", BASE64_STANDARD_NO_PAD.encode(Sha256::digest(&content)));
    let header = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok());
    let validators = [(ETAG, etag.clone()), (ACCEPT_RANGES, "bytes".to_owned())];
    if header(IF_NONE_MATCH).is_some_and(|known| known == "*" || known.contains(&etag)) {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let is_current = header(IF_RANGE).is_none_or(|known| known == etag);
    let requested = header(RANGE).filter(|_| is_current);
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(content_type));
    match range(requested, content.len()) {
        None => (validators, [content_type], content).into_response(),
        Some(Ok(range)) => {
            let described = format!("bytes {}-{}/{}", range.start(), range.end(), content.len());
            let headers = (validators, [(CONTENT_RANGE, described)], [content_type]);
            (StatusCode::PARTIAL_CONTENT, headers, content.slice(range)).into_response()
        }
        Some(Err(())) => {
            let described = format!("bytes */{}", content.len());
            (StatusCode::RANGE_NOT_SATISFIABLE, validators, [(CONTENT_RANGE, described)])
                .into_response()
        }
    }
}

/// The requested range, or an error if the content has no such range. A request for several ranges,
/// for more bytes than there are, or in another form, gets all of the content.
fn range(requested: Option<&str>, length: usize) -> Option<Result<RangeInclusive<usize>, ()>> {
    use RangeUnsatisfiableError::{FileSuffixOutOfBounds, OverlappingRanges};
    match parse_range_header(requested?).ok()?.validate(length as u64).as_deref() {
        Ok([range]) => Some(Ok(*range.start() as usize..=*range.end() as usize)),
        Ok(_) | Err(FileSuffixOutOfBounds | OverlappingRanges) => None,
        Err(_) => Some(Err(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123456789";

    fn request(headers: &[(HeaderName, &str)]) -> Response {
        let value = |value: &str| HeaderValue::from_str(value).unwrap();
        let headers = headers.iter().map(|(name, text)| (name.clone(), value(text))).collect();
        respond(&headers, "text/plain", TEXT.into())
    }

    fn header(response: &Response, name: HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn content_that_the_client_has_is_not_sent_again() {
        let whole = request(&[]);
        let etag = header(&whole, ETAG).unwrap();
        for known in [etag, &format!("W/{etag}"), &format!("\"other\", {etag}"), "*"] {
            let response = request(&[(IF_NONE_MATCH, known)]);
            assert_eq!(response.status(), 304, "{known}");
            assert_eq!(header(&response, ETAG), Some(etag));
        }
        assert_eq!(request(&[(IF_NONE_MATCH, "\"other\"")]).status(), 200);
    }

    #[tokio::test]
    async fn a_range_is_a_part_of_the_content() {
        let whole = request(&[]);
        let etag = header(&whole, ETAG).unwrap();
        for (range, status, described, text) in [
            ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
            ("bytes=8-", 206, Some("bytes 8-9/10"), "89"),
            ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
            ("bytes=5-100", 206, Some("bytes 5-9/10"), "56789"),
            ("bytes=10-", 416, Some("bytes */10"), ""),
            ("bytes=-11", 200, None, TEXT),
            ("bytes=0-1,4-5", 200, None, TEXT),
            ("bytes=0-4,2-5", 200, None, TEXT),
            ("lines=1-2", 200, None, TEXT),
            ("bytes=x", 200, None, TEXT),
        ] {
            let response = request(&[(RANGE, range), (IF_RANGE, etag)]);
            assert_eq!(response.status(), status, "{range}");
            assert_eq!(header(&response, CONTENT_RANGE), described, "{range}");
            let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(body, text, "{range}");
        }
        assert_eq!(request(&[(RANGE, "bytes=2-4"), (IF_RANGE, "\"old\"")]).status(), 200);
    }
}
