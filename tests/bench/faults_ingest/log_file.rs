//! The files of the store's log, as `crates/store/src/wal` describes them: enough to damage one on purpose.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const FILE_HEADER: u64 = 16;
const FRAME_HEADER: u64 = 16;

/// A log file, and where its frames begin; the last entry is where they end.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    frames: Vec<u64>,
}

impl LogFile {
    /// The newest file of a store.
    pub(crate) fn newest(store: &Path) -> io::Result<Option<Self>> {
        if !store.join("wal").is_dir() {
            return Ok(None);
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(store.join("wal"))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
        files.sort();
        let Some(path) = files.pop() else { return Ok(None) };
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        let (mut frames, mut at) = (vec![FILE_HEADER], FILE_HEADER);
        let mut length = [0; 4];
        while at + FRAME_HEADER <= size {
            file.read_exact_at(&mut length, at)?;
            let payload = u64::from(u32::from_le_bytes(length));
            if payload == 0 || at + FRAME_HEADER + payload > size {
                break;
            }
            at += FRAME_HEADER + payload;
            frames.push(at);
        }
        Ok(Some(Self { path, frames }))
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(&self.path)
    }

    /// Puts the beginning of a frame behind the last one, as a power cut in the middle of a write leaves it.
    pub(crate) fn tear(&self, rubbish: u64) -> io::Result<()> {
        let end = self.frames.last().copied().unwrap_or(FILE_HEADER);
        let mut torn = 900_u32.to_le_bytes().to_vec();
        torn.extend(rubbish.to_le_bytes());
        torn.extend([0xa5; 40]);
        self.open()?.write_all_at(&torn, end)
    }

    /// Turns a bit in a frame that others follow. Nothing when there is none; otherwise what turns it back.
    pub(crate) fn flip(&self, random: u64) -> io::Result<Option<Flipped>> {
        let Some([begin, end]) = self.frames.first_chunk::<2>().copied().filter(|_| self.frames.len() > 2) else { return Ok(None) };
        let at = begin + FRAME_HEADER + random % (end - begin - FRAME_HEADER);
        let flipped = Flipped { path: self.path.clone(), at, mask: 1 << ((random >> 32) % 8) };
        flipped.turn()?;
        Ok(Some(flipped))
    }
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
    pub(crate) fn turn(&self) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.at)?;
        file.write_all_at(&[byte[0] ^ self.mask], self.at)
    }
}
