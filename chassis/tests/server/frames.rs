//! A client of HTTP/2 that leaves nothing to a library: it sends what it is told, and answers pings.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use testkit::{Client, Service};

/// What a client says first, before its settings.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames, and two flags of theirs.
///
/// Source: RFC 9113, <https://www.rfc-editor.org/rfc/rfc9113#section-6>.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM_AND_HEADERS: u8 = 5;

/// The setting that says how much of an answer may come before the client has asked for more.
const INITIAL_WINDOW_SIZE: u8 = 4;

/// A connection whose frames are read one by one.
pub(crate) struct Frames {
    client: Client,
    received: Vec<u8>,
    /// How many pings were answered.
    pub(crate) pings: usize,
}

impl Frames {
    /// Connects, and lets the service send so much of each answer.
    pub(crate) fn connect(service: &Service, window: u32) -> Self {
        let mut client = service.connect();
        client.send(PREFACE);
        let setting = [&[0, INITIAL_WINDOW_SIZE][..], &window.to_be_bytes()].concat();
        client.send(frame(SETTINGS, 0, 0, &setting));
        Self { client, received: Vec::new(), pings: 0 }
    }

    /// Asks for a path on a stream.
    pub(crate) fn get(&mut self, stream: u32, path: &str) {
        // GET and http are in the table of headers; a path and a host are written out.
        let path = [&[0x82, 0x86, 0x04, path.len() as u8][..], path.as_bytes()].concat();
        let headers = [&path[..], b"\x01\x04here"].concat();
        self.client.send(frame(HEADERS, END_STREAM_AND_HEADERS, stream, &headers));
    }

    /// Lets the service send so much more on a stream, or on all of them if it is 0.
    pub(crate) fn take(&mut self, stream: u32, bytes: u32) {
        self.client.send(frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()));
    }

    /// Reads for so long, or until the end. Returns the type and the length of each frame, and
    /// whether the connection has ended.
    pub(crate) fn read_for(&mut self, time: Duration) -> (Vec<(u8, usize)>, bool) {
        let deadline = Instant::now() + time;
        let mut frames = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            while let Some(frame) = self.next_frame() {
                frames.push(frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (frames, false);
            }
            self.client.socket().set_read_timeout(Some(left)).unwrap();
            match self.client.try_read(&mut buffer) {
                Ok(read) if read > 0 => self.received.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => return (frames, true),
            }
        }
    }

    /// The connection, on which nobody answers pings any more.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }

    fn next_frame(&mut self) -> Option<(u8, usize)> {
        let header = self.received.get(..9)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let (kind, flags) = (header[3], header[4]);
        let payload = self.received.get(9..9 + length)?.to_vec();
        self.received.drain(..9 + length);
        if kind == PING && flags & ACK == 0 {
            self.pings += 1;
            // It may have hung up by now.
            let _ = self.client.try_send(frame(PING, ACK, 0, &payload));
        }
        Some((kind, length))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
