//! The requests to rng and hasher, and which responses the worker accepts.

use bytes::Bytes;
use chassis::{ServedBy, ServerTiming, trace};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header::CONTENT_TYPE};

use crate::{
    transport::{ErrorKind, Peer, RequestError, Transport},
    url::BaseUrl,
};

/// Random bytes in a unit of work.
pub(crate) const BLOCK: usize = 32;

/// Hex digits of a hash.
const DIGITS: usize = 64;

/// The largest response that is read, in bytes, if the expected one is smaller.
const MAX_RESPONSE: usize = 1024;

const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An accepted response, and what its headers report.
pub(crate) struct Accepted<T> {
    pub(crate) value: T,
    pub(crate) timing: Option<ServerTiming>,
    pub(crate) served_by: Option<ServedBy>,
}

/// The hashes of a batch, checked: lowercase hex, in lines if there is more than one.
pub(crate) struct Hashes(Bytes);

impl Hashes {
    /// One hash after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.chunks(DIGITS + 1).map(|line| &line[..DIGITS])
    }
}

/// The requests for batches of work.
pub(crate) struct Endpoints {
    rng: Endpoint,
    hasher: Endpoint,
    batch: usize,
}

impl Endpoints {
    /// Requests for batches of this size; the original services support only batches of one.
    pub(crate) fn new(rng: &BaseUrl, hasher: &BaseUrl, batch: usize) -> anyhow::Result<Self> {
        let is_single = batch == 1;
        let rng = Endpoint {
            peer: Peer::Rng,
            uri: rng.join(&(batch * BLOCK).to_string())?,
            address: rng.to_string(),
            expected_len: batch * BLOCK,
            not_found: "",
        };
        let hasher = Endpoint {
            peer: Peer::Hasher,
            uri: hasher.join(if is_single { "" } else { "blocks/32" })?,
            address: hasher.to_string(),
            expected_len: if is_single { DIGITS } else { batch * (DIGITS + 1) },
            not_found: if is_single { "" } else { "; the original knows only BATCH=1" },
        };
        Ok(Self { rng, hasher, batch })
    }

    /// Gets the random bytes of a batch from rng.
    pub(crate) async fn random_bytes(
        &self,
        transport: &impl Transport,
    ) -> Result<Accepted<Bytes>, RequestError> {
        let request = Request::new(Bytes::new());
        let expected_len = self.rng.expected_len;
        let check = |body: Bytes| match body.len() == expected_len {
            // A copy does not keep the connection from reusing its buffer.
            true if expected_len <= MAX_RESPONSE => Ok(Bytes::copy_from_slice(&body)),
            true => Ok(body),
            false => Err(format!("{} bytes came instead of {expected_len}", body.len())),
        };
        trace::call("GET rng", self.rng.exchange(transport, request, check)).await
    }

    /// Gets the hash of each 32 bytes from hasher.
    pub(crate) async fn hash(
        &self,
        transport: &impl Transport,
        bytes: Bytes,
    ) -> Result<Accepted<Hashes>, RequestError> {
        let mut request = Request::new(bytes);
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(CONTENT_TYPE, OCTET_STREAM);
        let expected_len = self.hasher.expected_len;
        let check = |body: Bytes| {
            if body.len() != expected_len {
                let unit = if self.batch == 1 { "hex digits" } else { "bytes of hex in lines" };
                return Err(format!("{} bytes came instead of {expected_len} {unit}", body.len()));
            }
            match body.chunks(DIGITS + 1).all(is_hash) {
                true => Ok(Hashes(body)),
                false => Err(format!("something else came instead of {DIGITS} hex digits")),
            }
        };
        trace::call("POST hasher", self.hasher.exchange(transport, request, check)).await
    }
}

/// Whether a line consists of the digits of a hash, and perhaps a line feed.
fn is_hash(line: &[u8]) -> bool {
    let (digits, end) = line.split_at(DIGITS);
    // Without a branch for each digit, which would take longer than hashing.
    let is_hex = |digit: &u8| digit.is_ascii_digit() | matches!(digit, b'a'..=b'f');
    digits.iter().fold(true, |valid, digit| valid & is_hex(digit)) && matches!(end, b"" | b"\n")
}

/// One kind of request, and the response that it expects.
struct Endpoint {
    peer: Peer,
    uri: Uri,
    /// Host and port, for errors.
    address: String,
    expected_len: usize,
    /// What an error adds if the peer does not know the path.
    not_found: &'static str,
}

impl Endpoint {
    /// Sends a request and checks the response.
    async fn exchange<T>(
        &self,
        transport: &impl Transport,
        mut request: Request<Bytes>,
        check: impl FnOnce(Bytes) -> Result<T, String>,
    ) -> Result<Accepted<T>, RequestError> {
        *request.uri_mut() = self.uri.clone();
        trace::inject(request.headers_mut());
        let limit = self.expected_len.max(MAX_RESPONSE);
        // Boxed, because a large future would be copied by each one around it.
        let response = Box::pin(transport.send(self.peer, request, limit)).await;
        let response = response.map_err(|error| self.error(error.kind, &error.text))?;
        let status = response.status();
        if status != StatusCode::OK {
            let hint = if status == StatusCode::NOT_FOUND { self.not_found } else { "" };
            return Err(self.error(ErrorKind::Status, &format!("status {status}{hint}")));
        }
        let timing = ServerTiming::of(response.headers());
        let served_by = ServedBy::of(response.headers());
        let checked = check(response.into_body());
        let value = checked.map_err(|text| self.error(ErrorKind::Answer, &text))?;
        Ok(Accepted { value, timing, served_by })
    }

    fn error(&self, kind: ErrorKind, text: &str) -> RequestError {
        RequestError::new(self.peer, kind, format!("{}: {text}", self.address))
    }
}
