//! One request and its answer over a connection of HTTP/1.1.
//!
//! A connection has buffers only while bytes come and go, since thousands of loops wait for thousands
//! of answers. ureq-proto knows the protocol; it refuses a `100 Continue` with headers, and the size of
//! a chunk with a long extension.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::ReadHalf},
};
use ureq_proto::{
    BodyMode,
    client::{
        Call, RecvResponseResult, SendRequestResult,
        state::{RecvBody, RecvResponse},
    },
};

use crate::{
    http::{BoxError, too_long},
    peers::{PeerError, Unanswered},
};

/// The most bytes of the first line of a request, without its path, and of the line that ends its head.
const LINE: usize = 64;

/// The bytes that a head has at most, as a rule.
const FEW: usize = 1024;

/// The most bytes that a head, all hints before it, or what stands between two chunks may have.
const MOST: usize = 64 * 1024;

const CLOSED: &str = "connection closed before message completed";

/// A request that is written down: its head, its body, and what waits for the answer.
pub(crate) struct Message {
    head: Vec<u8>,
    body: Bytes,
    call: Box<Call<RecvResponse>>,
}

/// Writes a request down.
pub(crate) fn message(request: Request<Bytes>) -> Result<Message, BoxError> {
    let (mut parts, body) = request.into_parts();
    if !body.is_empty() {
        parts.headers.insert(CONTENT_LENGTH, body.len().into());
    }
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + ": \r\n".len() + value.len()
    };
    let length = LINE + path + parts.headers.iter().map(line).sum::<usize>();
    let mut head = vec![0; length];
    let mut call = Call::new(Request::from_parts(parts, ()))?.proceed();
    let written = call.write(&mut head)?;
    head.truncate(written);
    let call = match call.proceed()? {
        Some(SendRequestResult::SendBody(mut call)) => {
            call.consume_direct_write(body.len())?;
            call.proceed()
        }
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        _ => None,
    };
    let call = call.ok_or_else(|| broken("no request of this kind is sent"))?;
    Ok(Message { head, body, call: Box::new(call) })
}

/// Sends a request and returns the whole answer, of up to `limit` bytes, and whether the connection is
/// good for another. Both at once, since an answer may come before all is sent. Fails with
/// [`Unanswered`] if the connection ends first.
pub(crate) async fn exchange(
    stream: &mut TcpStream,
    Message { head, body, call }: Message,
    limit: usize,
) -> Result<(Response<Bytes>, bool), BoxError> {
    let (mut from_peer, mut to_peer) = stream.split();
    let (mut message, mut refused) = (Buf::chain(&head[..], &body[..]), None);
    let sending = async {
        // A peer that takes no more may have answered why: reading tells.
        refused = to_peer.write_all_buf(&mut message).await.err();
        pending::<Infallible>().await
    };
    let answer = tokio::select! {
        biased;
        never = sending => match never {},
        answer = receive(&mut from_peer, call, limit) => answer,
    };
    match (answer, refused) {
        (Ok((answer, is_reusable)), _) => Ok((answer, is_reusable && !message.has_remaining())),
        (Err(error), Some(cause)) if error.is::<Unanswered>() => {
            Err(Unanswered(cause.to_string()).into())
        }
        (Err(error), _) => Err(error),
    }
}

async fn receive(
    stream: &mut ReadHalf<'_>,
    mut call: Box<Call<RecvResponse>>,
    limit: usize,
) -> Result<(Response<Bytes>, bool), BoxError> {
    let mut input = BytesMut::new();
    match read(stream, &mut input, limit + FEW).await {
        Ok(0) => return Err(Unanswered(CLOSED.to_owned()).into()),
        Err(error) => return Err(Unanswered(error.to_string()).into()),
        Ok(_) => {}
    }
    let mut hints = 0;
    let head = loop {
        let (used, head) = call.try_response(&input, false)?;
        input.advance(used);
        hints += used;
        match head {
            Some(head) => break head,
            None if hints.max(input.len()) > MOST => {
                return Err(broken("a head of more than 64 kB came"));
            }
            None if used > 0 => {}
            None if read(stream, &mut input, FEW).await? == 0 => return Err(broken(CLOSED)),
            None => {}
        }
    };
    let (length, rest) = match call.proceed() {
        Some(RecvResponseResult::RecvBody(call)) => match call.body_mode() {
            BodyMode::LengthDelimited(length) => (length, None),
            _ => (0, Some(call)),
        },
        _ => (0, None),
    };
    let is_delimited =
        rest.as_ref().is_none_or(|call| call.body_mode() != BodyMode::CloseDelimited);
    let body = match rest {
        // In a box, since few answers need it and all would have its size.
        Some(call) => Box::pin(pieces(stream, call, &mut input, limit)).await?,
        None => whole(stream, length, &mut input, limit).await?,
    };
    let is_reusable = is_delimited && input.is_empty() && is_kept(&head);
    Ok((head.map(|()| body), is_reusable))
}

/// Whether the peer keeps the connection after this answer, and there is no doubt where it ends.
fn is_kept(head: &Response<()>) -> bool {
    let headers = head.headers();
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut options = values.flat_map(|value| value.split(','));
    head.version() == Version::HTTP_11
        && head.status() != StatusCode::SWITCHING_PROTOCOLS
        && !(headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH))
        && !options.any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// A body of a known length.
async fn whole(
    stream: &mut ReadHalf<'_>,
    length: u64,
    input: &mut BytesMut,
    limit: usize,
) -> Result<Bytes, BoxError> {
    let length = usize::try_from(length).ok().filter(|length| *length <= limit);
    let length = length.ok_or_else(|| too_long(limit))?;
    while input.len() < length {
        let left = length - input.len();
        if read(stream, input, left).await? == 0 {
            return Err(cut());
        }
    }
    Ok(input.split_to(length).freeze())
}

/// A body that comes in chunks, or until the end of the connection.
async fn pieces(
    stream: &mut ReadHalf<'_>,
    mut call: Call<RecvBody>,
    input: &mut BytesMut,
    limit: usize,
) -> Result<Bytes, BoxError> {
    let is_to_the_end = call.body_mode() == BodyMode::CloseDelimited;
    let mut body = Vec::new();
    loop {
        let before = body.len();
        body.resize(limit.min(before + input.len()) + 1, 0);
        let (used, came) = call.read(input, &mut body[before..])?;
        input.advance(used);
        body.truncate(before + came);
        match used {
            _ if body.len() > limit => return Err(too_long(limit).into()),
            _ if call.can_proceed() && !is_to_the_end => return Ok(body.into()),
            0 if input.len() > MOST => return Err(broken("what came is no chunk")),
            0 if read(stream, input, MOST).await? > 0 => {}
            0 if is_to_the_end => return Ok(body.into()),
            0 => return Err(cut()),
            _ => {}
        }
    }
}

/// Waits for bytes, and only then has room for them. Returns how many came; 0 is the end.
async fn read(stream: &mut ReadHalf<'_>, input: &mut BytesMut, room: usize) -> io::Result<usize> {
    poll_fn(|context| stream.as_ref().poll_read_ready(context)).await?;
    input.reserve(room);
    stream.read_buf(input).await
}

fn cut() -> BoxError {
    broken("end of file before message length reached")
}

fn broken(text: &str) -> BoxError {
    PeerError::new("other", text.to_owned()).into()
}
