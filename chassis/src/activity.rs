//! What happens on one connection: requests in flight, responses that the client does not read, and
//! the time of the last progress. The watchdog of the connection decides by these.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::{
    body::{Frame, SizeHint},
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit, time::sleep};

use crate::limits::Limits;

/// The largest frame of a response, in bytes. For each client that does not read, the protocol
/// keeps one frame in memory.
const MAX_FRAME: usize = 64 * 1024;

/// A count: the number of its clones.
type Token = Arc<()>;

/// The activity of one connection.
pub(crate) struct Activity {
    opened: Instant,
    /// Milliseconds from `opened` to the last progress.
    progress: AtomicU64,
    /// Whether the client has sent anything.
    is_greeted: AtomicBool,
    /// Whether the socket accepts no more bytes.
    is_blocked: AtomicBool,
    /// One clone for each request whose response is not yet at its end.
    in_flight: Token,
    /// One clone for each response body with data that the client does not read.
    unread: Token,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            progress: AtomicU64::new(0),
            is_greeted: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            in_flight: Token::default(),
            unread: Token::default(),
        })
    }

    /// Restarts all timeouts.
    pub(crate) fn touch(&self) {
        self.progress.store(self.opened.elapsed().as_millis() as u64, Relaxed);
    }

    /// Whether data waits for the client to read.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_blocked.load(Relaxed) || Arc::strong_count(&self.unread) > 1
    }

    /// Starts a request, which is in flight until the token is dropped.
    pub(crate) fn start_request(&self) -> Token {
        self.touch();
        self.in_flight.clone()
    }

    /// Waits until the client has exceeded a limit. A request that waits for its response does not.
    pub(crate) async fn exceeds(&self, limits: &Limits) {
        let interval = limits.first_byte.min(limits.header).min(limits.stalled_write);
        loop {
            let timeout = match self.is_greeted.load(Relaxed) {
                _ if self.is_stalled() => limits.stalled_write,
                _ if Arc::strong_count(&self.in_flight) > 1 => Duration::MAX,
                true => limits.header,
                false => limits.first_byte,
            };
            let progress = Duration::from_millis(self.progress.load(Relaxed));
            let unchanged = self.opened.elapsed().saturating_sub(progress);
            if unchanged >= timeout {
                return;
            }
            // Another limit may apply before this one is reached.
            sleep((timeout - unchanged).min(interval)).await;
        }
    }
}

/// A response body that counts as unread while the protocol could have its next frame.
pub(crate) struct TrackedBody {
    body: Body,
    /// What follows of a frame that was too large.
    remainder: Bytes,
    unread: Option<Token>,
    activity: Arc<Activity>,
    in_flight: Token,
    /// Only HTTP/2 has one.
    permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// Data of an HTTP/2 response, which h2 keeps until the client reads: until then the response is in
/// flight and unread, even if its body has ended.
struct Chunk {
    data: Bytes,
    activity: Arc<Activity>,
    _in_flight: Token,
    _unread: Token,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.activity.touch();
    }
}

impl TrackedBody {
    /// The body of a request in flight, which holds `permit` until its end.
    pub(crate) fn new(
        body: Body,
        activity: Arc<Activity>,
        in_flight: Token,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        activity.touch();
        let unread = Some(activity.unread.clone());
        let (remainder, permit) = (Bytes::new(), permit.map(Arc::new));
        Self { body, remainder, unread, activity, in_flight, permit }
    }

    /// The same data, which counts as unread until it is dropped.
    fn track(&self, data: Bytes) -> Bytes {
        let Some(permit) = &self.permit else { return data };
        Bytes::from_owner(Chunk {
            data,
            activity: self.activity.clone(),
            _in_flight: self.in_flight.clone(),
            _unread: self.activity.unread.clone(),
            _permit: permit.clone(),
        })
    }
}

impl hyper::body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut frame = match self.remainder.is_empty() {
            true => Pin::new(&mut self.body).poll_frame(context),
            false => Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.remainder))))),
        };
        if let Poll::Ready(Some(Ok(frame))) = &mut frame
            && let Some(data) = frame.data_mut()
            && data.len() > MAX_FRAME
        {
            self.remainder = data.split_off(MAX_FRAME);
        }
        self.activity.touch();
        let is_unread = matches!(frame, Poll::Ready(Some(_)));
        self.unread = is_unread.then(|| self.activity.unread.clone());
        frame.map(|frame| Some(frame?.map(|frame| frame.map_data(|data| self.track(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.remainder.is_empty() && self.body.is_end_stream()
    }

    /// The protocol reads the size hint before the first frame, so the remainder of one does not
    /// count.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket of a connection, which records when it blocks.
pub(crate) struct TrackedStream {
    stream: TokioIo<TcpStream>,
    activity: Arc<Activity>,
}

impl TrackedStream {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream: TokioIo::new(stream), activity }
    }

    fn record(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.activity.is_blocked.swap(written.is_pending(), Relaxed) && written.is_ready() {
            self.activity.touch();
        }
        written
    }
}

impl Read for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() && !self.activity.is_greeted.swap(true, Relaxed) {
            self.activity.touch();
        }
        read
    }
}

impl Write for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.record(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.record(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
