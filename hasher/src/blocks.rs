//! Bulk: the SHA-256 of each 32 bytes of a body, one line of lowercase hex per block.

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

use crate::upload::{Refusal, Upload};

/// Bytes in a block.
const BLOCK: usize = 32;

/// Bytes in a line: 64 hex digits and its end.
const LINE: usize = 65;

/// How many bytes of a body are hashed before any are answered. A body that is no longer gets its
/// answer in one piece, and an error gets its status.
const PIECE: usize = 64 * 1024;

/// Says of an answer, in its extensions, that it is still being made.
#[derive(Clone, Copy)]
pub(crate) struct Unfinished;

/// The blocks of a body that is being received.
pub(crate) struct Blocks {
    upload: Upload,
    /// The first bytes of a block whose rest has not come yet.
    rest: BytesMut,
    ended: bool,
}

impl Blocks {
    /// Nothing of a body yet. Refuses one that says it has no whole number of blocks.
    pub(crate) fn new(upload: Upload) -> Result<Self, Refusal> {
        match upload.declared() % BLOCK as u64 {
            0 => Ok(Self { upload, rest: BytesMut::new(), ended: false }),
            _ => Err(not_whole()),
        }
    }

    /// The answer, which is made as the blocks come in. What goes wrong after its first piece ends it
    /// too early.
    pub(crate) async fn into_response(mut self) -> Result<Response, Refusal> {
        let length = self.upload.exact().map(|bytes| bytes / BLOCK as u64 * LINE as u64);
        let first = self.next_piece().await?;
        if self.ended {
            return Ok(first.into_response());
        }
        let mut answered = Some(Instant::now());
        let others = stream::try_unfold(self, move |mut blocks| {
            // The simulated delay is in between.
            if let Some(since) = answered.take() {
                blocks.upload.excuse(since.elapsed());
            }
            async move {
                if blocks.ended {
                    return Ok(None);
                }
                let broken = |_| io::Error::other("the body is not whole");
                let piece = blocks.next_piece().await.map_err(broken)?;
                Ok::<_, io::Error>(Some((piece, blocks)))
            }
        });
        let body = stream::iter([Ok(first)]).chain(others);
        let length = length.map(|length| [(CONTENT_LENGTH, length.to_string())]);
        Ok((length, Extension(Unfinished), Body::from_stream(body)).into_response())
    }

    /// The lines of the next blocks.
    async fn next_piece(&mut self) -> Result<Bytes, Refusal> {
        let expected = PIECE.min(self.upload.declared() as usize);
        let mut lines = BytesMut::with_capacity(expected / BLOCK * LINE);
        let mut hashed = 0;
        while hashed <= PIECE {
            let Some(data) = self.upload.next().await? else {
                if !self.rest.is_empty() {
                    return Err(not_whole());
                }
                self.ended = true;
                break;
            };
            hashed += data.len();
            self.hash(data, &mut lines);
        }
        Ok(lines.freeze())
    }

    fn hash(&mut self, mut data: Bytes, lines: &mut BytesMut) {
        if !self.rest.is_empty() {
            let missing = data.split_to(data.len().min(BLOCK - self.rest.len()));
            self.rest.extend_from_slice(&missing);
            if self.rest.len() < BLOCK {
                return;
            }
            hash_blocks(&self.rest, lines);
            self.rest.clear();
        }
        let whole = data.len() / BLOCK * BLOCK;
        hash_blocks(&data[..whole], lines);
        self.rest.extend_from_slice(&data[whole..]);
    }
}

fn hash_blocks(blocks: &[u8], lines: &mut BytesMut) {
    for block in blocks.chunks_exact(BLOCK) {
        let mut line = [b'\n'; LINE];
        // It cannot fail, since the room is what 32 bytes take.
        let _ = hex::encode_to_slice(Sha256::digest(block), &mut line[..LINE - 1]);
        lines.extend_from_slice(&line);
    }
}

fn not_whole() -> Refusal {
    Refusal::bad("Please send blocks of 32 bytes.")
}
