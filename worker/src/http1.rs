//! One request and its answer over a connection of HTTP/1.1.
//!
//! A connection has buffers only while bytes come and go, since thousands of loops wait for thousands
//! of answers.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
};

use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Request, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH},
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
    peers::PeerError,
};

/// The most bytes of the first line of a request, without its path, and of the line that ends its head.
const LINE: usize = 64;

/// The bytes that a head has at most, as a rule.
const FEW: usize = 1024;

/// The most bytes that a head, or what stands between two chunks, may have.
const MOST: usize = 64 * 1024;

/// A request as it is sent: its head and its body.
pub(crate) type Message = (Vec<u8>, Bytes);

/// What waits for the answer to a request; none once it has begun to come.
pub(crate) type Waiting = Option<Call<RecvResponse>>;

/// Writes a request down.
pub(crate) fn message(request: Request<Bytes>) -> Result<(Message, Waiting), BoxError> {
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
    let waiting = match call.proceed()? {
        Some(SendRequestResult::SendBody(mut call)) => {
            call.consume_direct_write(body.len())?;
            call.proceed()
        }
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        _ => None,
    };
    Ok(((head, body), waiting))
}

/// Sends a request and returns the whole answer, of up to `limit` bytes, and whether the connection is
/// good for another. Both at once, since an answer may come before all is sent.
pub(crate) async fn exchange(
    stream: &mut TcpStream,
    (head, body): &Message,
    waiting: &mut Waiting,
    limit: usize,
) -> Result<(Response<Bytes>, bool), BoxError> {
    let (mut from_peer, mut to_peer) = stream.split();
    let mut message = Buf::chain(&head[..], &body[..]);
    let sending = async {
        // A peer that takes no more may have answered why, and if not, reading tells.
        let _ = to_peer.write_all_buf(&mut message).await;
        pending::<Infallible>().await
    };
    let (answer, is_reusable) = tokio::select! {
        biased;
        never = sending => match never {},
        answer = receive(&mut from_peer, waiting, limit) => answer?,
    };
    Ok((answer, is_reusable && !message.has_remaining()))
}

async fn receive(
    stream: &mut ReadHalf<'_>,
    waiting: &mut Waiting,
    limit: usize,
) -> Result<(Response<Bytes>, bool), BoxError> {
    let mut input = BytesMut::new();
    let closed = || broken("connection closed before message completed");
    if read(stream, &mut input, limit + FEW).await? == 0 {
        return Err(closed());
    }
    let mut call = waiting.take().ok_or_else(closed)?;
    let head = loop {
        let (used, head) = call.try_response(&input, false)?;
        input.advance(used);
        match head {
            Some(head) => break head,
            None if used > 0 => {}
            None if input.len() > MOST => return Err(broken("a head of more than 64 kB came")),
            None if read(stream, &mut input, FEW).await? == 0 => return Err(closed()),
            None => {}
        }
    };
    let body = match call.proceed() {
        Some(RecvResponseResult::RecvBody(call)) => match call.body_mode() {
            BodyMode::LengthDelimited(length) => {
                whole(stream, length, &mut input, limit).await.map(|body| (body, true))
            }
            mode => {
                let body = pieces(stream, call, &mut input, limit).await;
                body.map(|body| (body, mode != BodyMode::CloseDelimited))
            }
        },
        result => Ok((Bytes::new(), result.is_some())),
    };
    let (body, is_delimited) = body?;
    let is_reusable = is_delimited && input.is_empty() && is_kept(&head);
    Ok((head.map(|()| body), is_reusable))
}

/// Whether the peer keeps the connection after this answer.
fn is_kept(head: &Response<()>) -> bool {
    let values = head.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut options = values.flat_map(|value| value.split(','));
    head.version() == Version::HTTP_11
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
