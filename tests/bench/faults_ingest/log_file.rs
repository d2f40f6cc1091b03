//! The files of the store's log, as `crates/store/src/wal` describes them: enough to damage one on purpose.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Result, at};

const FILE_HEADER: u64 = 16;
/// Of which the last eight bytes are the number of the first frame.
const FIRST_LSN: u64 = 8;
const FRAME_HEADER: u64 = 16;

/// A log file, and where its whole frames begin; the last entry is where they end.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    first_lsn: u64,
    frames: Vec<u64>,
    /// Whether a frame was begun behind them.
    torn: bool,
}

impl LogFile {
    /// The newest file of a store.
    pub(crate) fn newest(store: &Path) -> Result<Option<Self>> {
        let folder = store.join("wal");
        if !folder.is_dir() {
            return Ok(None);
        }
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&folder).map_err(at(&folder))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
        files.sort();
        let Some(path) = files.pop() else { return Ok(None) };
        let file = File::open(&path).map_err(at(&path))?;
        let size = file.metadata().map_err(at(&path))?.len();
        let mut first_lsn = [0; 8];
        file.read_exact_at(&mut first_lsn, FIRST_LSN).map_err(at(&path))?;
        let first_lsn = u64::from_le_bytes(first_lsn);
        let (mut frames, mut end) = (vec![FILE_HEADER], FILE_HEADER);
        let torn = loop {
            match frame(&file, end, size).map_err(at(&path))? {
                Found::Whole { bytes } => end += bytes,
                found => break matches!(found, Found::Torn),
            }
            frames.push(end);
        };
        Ok(Some(Self { path, first_lsn, frames, torn }))
    }

    /// Puts the beginning of a frame behind the last whole one, as a power cut in the middle of a write leaves it.
    pub(crate) fn tear(&self, rubbish: u64) -> Result<()> {
        let end = self.frames.last().copied().unwrap_or(FILE_HEADER);
        let lsn = self.first_lsn + u64::try_from(self.frames.len())? - 1;
        let mut torn = 900_u32.to_le_bytes().to_vec();
        torn.extend(rubbish.to_le_bytes().iter().take(4));
        torn.extend(lsn.to_le_bytes());
        torn.extend([0xa5; 40]);
        Ok(open(&self.path)?.write_all_at(&torn, end).map_err(at(&self.path))?)
    }

    /// Turns a bit in a frame that another follows, whole or torn. Nothing when there is none; otherwise what turns it back.
    pub(crate) fn flip(&self, random: u64) -> Result<Option<Flipped>> {
        let followed = self.frames.len() > 2 || self.torn;
        let Some([begin, end]) = self.frames.first_chunk::<2>().copied().filter(|_| followed) else { return Ok(None) };
        let at = begin + FRAME_HEADER + random % (end - begin - FRAME_HEADER);
        let flipped = Flipped { path: self.path.clone(), at, mask: 1 << ((random >> 32) % 8) };
        flipped.turn()?;
        Ok(Some(flipped))
    }
}

/// What is at a place of a log file.
enum Found {
    Whole { bytes: u64 },
    Torn,
    Nothing,
}

fn frame(file: &File, begin: u64, size: u64) -> io::Result<Found> {
    if begin + FRAME_HEADER > size {
        return Ok(Found::Nothing);
    }
    let (mut length, mut crc, mut lsn) = ([0; 4], [0; 4], [0; 8]);
    file.read_exact_at(&mut length, begin)?;
    file.read_exact_at(&mut crc, begin + 4)?;
    file.read_exact_at(&mut lsn, begin + 8)?;
    let bytes = u64::from(u32::from_le_bytes(length));
    if bytes == 0 {
        return Ok(Found::Nothing);
    }
    if begin + FRAME_HEADER + bytes > size {
        return Ok(Found::Torn);
    }
    let mut payload = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut payload, begin + FRAME_HEADER)?;
    let of_all = [&length[..], &lsn, &payload].iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
    Ok(if of_all == u32::from_le_bytes(crc) { Found::Whole { bytes: FRAME_HEADER + bytes } } else { Found::Torn })
}

/// A bit that was turned.
#[derive(Debug)]
pub(crate) struct Flipped {
    path: PathBuf,
    at: u64,
    mask: u8,
}

impl Flipped {
    /// Turns it again.
    pub(crate) fn turn(&self) -> Result<()> {
        let file = open(&self.path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.at).map_err(at(&self.path))?;
        Ok(file.write_all_at(&[byte[0] ^ self.mask], self.at).map_err(at(&self.path))?)
    }
}

fn open(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).open(path).map_err(at(path))?)
}
