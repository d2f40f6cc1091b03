//! One frame.

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 16;
/// Longer payloads are not written, and not believed.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// The first bytes of a file; the first lsn follows.
pub(crate) const MAGIC: [u8; 8] = *b"NWWAL\0\0\x01";
/// Bytes before the first frame.
pub(crate) const FILE_HEADER_BYTES: u64 = 16;

/// The header of a frame, and whether it can be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) crc: u32,
    pub(crate) lsn: u64,
}

impl Header {
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
        Self { len: u32::from_le_bytes([a, b, c, d]), crc: u32::from_le_bytes([e, f, g, h]), lsn: u64::from_le_bytes(rest) }
    }

    /// Preallocated and never written.
    pub(crate) fn is_blank(self) -> bool {
        self == Self { len: 0, crc: 0, lsn: 0 }
    }

    pub(crate) fn payload_bytes(self) -> Option<usize> {
        usize::try_from(self.len).ok().filter(|len| (1..=PAYLOAD_BYTES_MAX).contains(len))
    }

    pub(crate) fn matches(self, payload: &[u8]) -> bool {
        checksum(self.len, self.lsn, payload) == self.crc
    }

    /// Whether its checksum is that of this payload under this number, whatever else it says.
    pub(crate) fn is_of(self, lsn: u64, payload: &[u8]) -> bool {
        u32::try_from(payload.len()).is_ok_and(|len| checksum(len, lsn, payload) == self.crc)
    }
}

/// Fills in the header of a frame whose payload is already in place behind it.
///
/// * Shape: `frame` starts with [`HEADER_BYTES`] bytes to be overwritten.
pub(crate) fn seal(frame: &mut [u8], lsn: u64) {
    let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER_BYTES>() else { return };
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let crc = checksum(len, lsn, payload);
    let fields = len.to_le_bytes().into_iter().chain(crc.to_le_bytes()).chain(lsn.to_le_bytes());
    for (place, byte) in header.iter_mut().zip(fields) {
        *place = byte;
    }
}

fn checksum(len: u32, lsn: u64, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&len.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &lsn.to_le_bytes());
    crc32c::crc32c_append(crc, payload)
}
