//! Bulk: the SHA-256 of each 32 bytes of a body, in a line of lowercase hex for each block.

use std::io;

use axum::{
    Extension,
    body::Body,
    http::header::CONTENT_LENGTH,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::upload::{self, Refusal, Upload};

/// Bytes in a block.
const BLOCK: usize = 32;

/// Bytes in a line: 64 hex digits and a line feed.
const LINE: usize = 65;

/// Bytes of a body that are hashed before the response begins. A body of at most this size gets its
/// response in one piece, and an error its status.
const PIECE: usize = 64 * 1024;

/// Bytes of a body that are hashed at once. Few of them are in memory for a client that does not
/// read.
const STEP: usize = 8 * 1024;

/// An extension of a response that is not complete yet.
#[derive(Clone, Copy)]
pub(crate) struct Unfinished;

/// The blocks of a body that is being received.
pub(crate) struct Blocks {
    upload: Upload,
    /// Data that is not hashed yet.
    pending: Bytes,
    /// The first bytes of a block that is not complete yet.
    partial: BytesMut,
    ended: bool,
}

impl Blocks {
    /// Starts to receive blocks. Fails when the declared length is not a whole number of them.
    pub(crate) fn new(upload: Upload) -> Result<Self, Refusal> {
        match upload.declared() % BLOCK as u64 {
            0 => {
                let (pending, partial) = (Bytes::new(), BytesMut::new());
                Ok(Self { upload, pending, partial, ended: false })
            }
            _ => Err(not_whole_blocks()),
        }
    }

    /// The response, hashed while the blocks arrive. An error after its first piece cuts it off.
    pub(crate) async fn into_response(mut self) -> Result<Response, Refusal> {
        let length = self.upload.exact().map(|bytes| bytes / BLOCK as u64 * LINE as u64);
        let first = self.next_piece(PIECE).await?;
        if self.ended {
            return Ok(first.into_response());
        }
        let mut first_sent = Some(Instant::now());
        let others = stream::try_unfold(self, move |mut blocks| {
            // The body is not read during the simulated delay, which comes after the first piece.
            if let Some(since) = first_sent.take() {
                blocks.upload.extend_deadline(since.elapsed());
            }
            async move {
                if blocks.ended {
                    return Ok(None);
                }
                let incomplete = |_| io::Error::other("the body is incomplete");
                let piece = blocks.next_piece(0).await.map_err(incomplete)?;
                Ok::<_, io::Error>(Some((piece, blocks)))
            }
        });
        let body = stream::iter([Ok(first)]).chain(others);
        let length = length.map(|length| [(CONTENT_LENGTH, length.to_string())]);
        Ok((length, Extension(Unfinished), Body::from_stream(body)).into_response())
    }

    /// The lines of the next blocks: of more than `min` bytes, or of those that remain.
    async fn next_piece(&mut self, min: usize) -> Result<Bytes, Refusal> {
        let expected = min.min(self.upload.declared() as usize);
        let (mut lines, mut hashed) = (BytesMut::with_capacity(expected / BLOCK * LINE), 0);
        while hashed <= min {
            if self.pending.is_empty() {
                let Some(data) = self.upload.next().await? else {
                    if !self.partial.is_empty() {
                        return Err(not_whole_blocks());
                    }
                    self.ended = true;
                    break;
                };
                self.pending = data;
            }
            let data = self.pending.split_to(self.pending.len().min(STEP));
            hashed += data.len();
            self.hash(data, &mut lines);
        }
        Ok(lines.freeze())
    }

    fn hash(&mut self, mut data: Bytes, lines: &mut BytesMut) {
        if !self.partial.is_empty() {
            let missing = data.split_to(data.len().min(BLOCK - self.partial.len()));
            self.partial.extend_from_slice(&missing);
            if self.partial.len() < BLOCK {
                return;
            }
            hash_blocks(&self.partial, lines);
            self.partial.clear();
        }
        let whole = data.len() / BLOCK * BLOCK;
        lines.reserve(whole / BLOCK * LINE);
        hash_blocks(&data[..whole], lines);
        self.partial.extend_from_slice(&data[whole..]);
    }
}

fn hash_blocks(blocks: &[u8], lines: &mut BytesMut) {
    for block in blocks.chunks_exact(BLOCK) {
        let mut line = [b'\n'; LINE];
        // It cannot fail, because the line has exactly the room for 32 bytes.
        let _ = hex::encode_to_slice(Sha256::digest(block), &mut line[..LINE - 1]);
        lines.extend_from_slice(&line);
    }
}

fn not_whole_blocks() -> Refusal {
    upload::bad_request("Please send blocks of 32 bytes.")
}
