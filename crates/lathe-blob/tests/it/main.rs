//! Bytes in folders and in a real S3 server.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod folder;
mod s3;
mod s3_server;

use lathe_blob::ArtifactPath;

/// The path of an artifact.
pub fn path(text: &str) -> ArtifactPath {
    ArtifactPath::parse(text).unwrap()
}

/// All bytes of what was opened.
pub async fn all(opened: lathe_blob::Opened) -> Vec<u8> {
    use futures_util::TryStreamExt;
    let chunks: Vec<_> = opened.chunks.try_collect().await.unwrap();
    chunks.concat()
}

/// As many bytes, of which no two stretches are alike.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// Bytes, and then the connection is gone.
pub fn breaking_off(bytes: Vec<u8>) -> impl tokio::io::AsyncRead + Unpin {
    let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let chunks = [Ok(bytes::Bytes::from(bytes)), Err(gone)];
    tokio_util::io::StreamReader::new(futures_util::stream::iter(chunks))
}
