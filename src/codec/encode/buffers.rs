//! Memory for encoded pictures, used again as soon as nobody holds them.

use bytes::{Bytes, BytesMut};

/// How many chunks are kept. The link holds a picture until its packets are sent, so two are usually enough.
const CHUNKS: usize = 4;
/// Bytes of a chunk: a second of a 2.5 Mb/s stream, so several keyframes.
const CHUNK_BYTES: usize = 320 * 1024;

/// A few chunks of memory that encoded pictures are cut from. A chunk is written from its beginning again when every picture
/// cut from it has been dropped; while none is free, new memory is allocated and old chunks are left to their holders.
#[derive(Debug, Default)]
pub struct Buffers {
    chunks: Vec<BytesMut>,
    current: usize,
}

impl Buffers {
    /// Copies the parts, one after the other, into memory of `length` bytes.
    pub fn join<'a>(&mut self, length: usize, parts: impl Iterator<Item = &'a [u8]>) -> Bytes {
        let chunk = self.room(length);
        for part in parts {
            chunk.extend_from_slice(part);
        }
        chunk.split().freeze()
    }

    fn room(&mut self, length: usize) -> &mut BytesMut {
        // The current one first: it may have room behind the last picture.
        let count = self.chunks.len();
        let has_room = |index: &usize| {
            let chunk = &mut self.chunks[*index];
            chunk.capacity() >= length || chunk.try_reclaim(length)
        };
        let free = (0..count).map(|step| (self.current + step) % count).find(has_room);
        self.current = free.unwrap_or_else(|| {
            let chunk = BytesMut::with_capacity(CHUNK_BYTES.max(length));
            if self.chunks.len() < CHUNKS {
                self.chunks.push(chunk);
                self.chunks.len() - 1
            } else {
                let next = (self.current + 1) % CHUNKS;
                self.chunks[next] = chunk;
                next
            }
        });
        &mut self.chunks[self.current]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back() {
        let mut buffers = Buffers::default();
        let picture = vec![7u8; 100 * 1024];
        let mut held = std::collections::VecDeque::new();
        for _ in 0..200 {
            held.push_back(buffers.join(picture.len(), picture.chunks(1000)));
            assert_eq!(held.back().unwrap(), &picture);
            if held.len() > 4 {
                held.pop_front();
            }
        }
        assert!(buffers.chunks.len() <= 3, "{} chunks", buffers.chunks.len());
    }

    #[test]
    fn who_keeps_pictures_does_not_stop_us() {
        let mut buffers = Buffers::default();
        let held: Vec<_> =
            (0..20u8).map(|n| buffers.join(CHUNK_BYTES, std::iter::once(&[n; CHUNK_BYTES][..]))).collect();
        assert!(held.iter().enumerate().all(|(n, bytes)| bytes.iter().all(|&byte| byte == n as u8)));
        assert_eq!(buffers.chunks.len(), CHUNKS);
    }
}
