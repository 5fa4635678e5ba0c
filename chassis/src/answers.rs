//! The answers of one connection: whether they are made, sent and taken.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::time::sleep;

/// The longest time between two looks whether a connection has nothing to do.
const LONGEST_NAP: Duration = Duration::from_secs(3);

/// What is known of the answers of one connection; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Counts>);

#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    open: AtomicUsize,
    waiting: AtomicUsize,
    moved: AtomicUsize,
    blocked: AtomicBool,
}

impl Answers {
    /// Begins the answer to a request, which is open until this is dropped.
    pub(crate) fn begin(&self) -> Open {
        self.0.asked.fetch_add(1, Relaxed);
        self.0.open.fetch_add(1, Relaxed);
        Open(self.0.clone())
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Relaxed)
    }

    /// Says whether bytes wait for the client to take others first.
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.0.blocked.store(blocked, Relaxed);
    }

    /// Waits until no request has come for so long, and no answer is open.
    pub(crate) async fn idle(&self, time: Duration) {
        loop {
            let before = self.asked();
            sleep(time).await;
            if self.asked() == before && self.are_taken() {
                return;
            }
        }
    }

    /// Waits until there were more requests than before, and for a moment has been nothing more to do.
    pub(crate) async fn rest(&self, before: usize, moment: Duration) {
        let mut nap = moment;
        loop {
            // The protocol may not have seen yet that nobody reads the rest of a request whose answer
            // has just been taken; after the nap it has.
            let (asked, were_taken) = (self.asked(), self.are_taken());
            sleep(nap).await;
            let is_quiet = self.asked() == asked;
            let is_done = were_taken && self.are_taken() && !self.0.blocked.load(Relaxed);
            if is_quiet && is_done && asked > before {
                return;
            }
            // A request that takes its time is not looked at all the time.
            nap = if is_quiet { LONGEST_NAP.min(2 * nap) } else { moment };
        }
    }

    /// Whether all of them were made and taken to their end.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.open.load(Relaxed) == 0 && self.0.waiting.load(Relaxed) == 0
    }

    /// Waits until the client has taken nothing for so long of what there was to take. A body that
    /// has nothing to say, for however long, is no fault of the client.
    pub(crate) async fn stalled(&self, time: Duration) {
        loop {
            let before = self.0.moved.load(Relaxed);
            sleep(time).await;
            if self.0.moved.load(Relaxed) == before && self.0.waiting.load(Relaxed) > 0 {
                return;
            }
        }
    }
}

/// An answer that is being made or sent.
pub(crate) struct Open(Arc<Counts>);

impl Open {
    /// Goes on with the answer's body.
    pub(crate) fn with(self, body: Body) -> Answer {
        Answer { body, open: self }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// The body of an answer, whose pieces tell whether they were taken.
pub(crate) struct Answer {
    body: Body,
    open: Open,
}

impl hyper::body::Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let piece = |data| Piece::new(data, &self.open.0);
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of a body, which waits until the protocol has sent it. It may outlive the body: the
/// protocol takes the last piece as a whole, and sends as much of it as the client has asked for.
pub(crate) struct Piece {
    data: Bytes,
    counts: Arc<Counts>,
}

impl Piece {
    fn new(data: Bytes, counts: &Arc<Counts>) -> Self {
        counts.waiting.fetch_add(1, Relaxed);
        // Its time begins now, and not with the last one's end.
        counts.moved.fetch_add(1, Relaxed);
        Self { data, counts: counts.clone() }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn advance(&mut self, taken: usize) {
        self.data.advance(taken);
        self.counts.moved.fetch_add(1, Relaxed);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.counts.waiting.fetch_sub(1, Relaxed);
    }
}
