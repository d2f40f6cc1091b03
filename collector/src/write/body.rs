//! The bytes of a request, bounded.

use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;

use axum::body::{Body, Bytes};
use flate2::read::MultiGzDecoder;
use futures_util::Stream;

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("the body ended early")]
    Cut(#[source] axum::Error),
    #[error("the body is not what gzip writes")]
    Gzip(#[source] std::io::Error),
}

/// Reads a body as it was sent.
pub(super) async fn read(body: Body, max: usize) -> Result<Vec<u8>, BodyError> {
    let mut stream = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(part) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let part: Bytes = part.map_err(BodyError::Cut)?;
        if read.len() + part.len() > max {
            return Err(BodyError::TooLong { max });
        }
        read.extend_from_slice(&part);
    }
    Ok(read)
}

/// Unpacks a body, and never more than `max` of it: a small one can become a large one.
pub(super) fn unpacked(packed: &[u8], max: usize) -> Result<Vec<u8>, BodyError> {
    let most = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(packed).take(most).read_to_end(&mut unpacked).map_err(BodyError::Gzip)?;
    if unpacked.len() > max { Err(BodyError::TooLong { max }) } else { Ok(unpacked) }
}
