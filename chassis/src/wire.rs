//! The stream of a connection: who takes nothing is given up, and what was written is known.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use rustix::net::{RecvFlags, recv};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};
use tokio_io_timeout::TimeoutStream;

use crate::answers::Answers;

/// What a client of HTTP/2 says first, of which this much is enough.
///
/// Source: RFC 9113, <https://www.rfc-editor.org/rfc/rfc9113#section-3.4>.
const PREFACE: &[u8] = b"PRI ";

/// A stream that tells its answers whether they are written.
pub(crate) struct Wire {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    /// What was read, but not used.
    unused: Bytes,
    answers: Answers,
}

impl Wire {
    /// A stream whose client may take nothing for so long.
    pub(crate) fn new(stream: TcpStream, patience: Duration, answers: Answers) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(patience));
        Self { stream: Box::pin(stream), unused: Bytes::new(), answers }
    }

    /// The same, of which this was read already.
    pub(crate) fn with(self, unused: &[u8]) -> Self {
        // A copy, because even no bytes would keep the whole buffer that they are a part of.
        Self { unused: Bytes::copy_from_slice(unused), ..self }
    }

    /// Whether something was read already.
    pub(crate) fn has_unused(&self) -> bool {
        !self.unused.is_empty()
    }

    /// Waits for as many of the next bytes as tell the protocol, and leaves them to be read.
    pub(crate) async fn speaks_http2(&self) -> io::Result<bool> {
        if self.has_unused() {
            return Ok(false);
        }
        let stream = self.stream.get_ref();
        loop {
            let ready = stream.ready(Interest::READABLE).await?;
            // Not tokio's own peek, which would say again and again that half the bytes are there.
            match stream.try_io(Interest::READABLE, || self.peek()) {
                // No more will come.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if ready.is_read_closed() {
                        return Ok(false);
                    }
                }
                protocol => return protocol,
            }
        }
    }

    fn peek(&self) -> io::Result<bool> {
        let mut first = [0; PREFACE.len()];
        let (_, received) = recv(self.stream.get_ref(), &mut first, RecvFlags::PEEK)?;
        let undecided = (1..PREFACE.len()).contains(&received);
        match undecided && PREFACE.starts_with(&first[..received]) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(first == PREFACE),
        }
    }

    fn told<T>(&self, written: Poll<T>) -> Poll<T> {
        self.answers.set_blocked(written.is_pending());
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unused.is_empty() {
            return self.stream.as_mut().poll_read(context, buffer);
        }
        let taken = self.unused.len().min(buffer.remaining());
        buffer.put_slice(&self.unused.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(context, bytes);
        self.told(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(context, slices);
        self.told(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
