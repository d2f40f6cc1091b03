//! What an operator does with a store: look whether it is whole, copy it, bring it back, rescue what is left of it, write it out.

mod backup;
mod dump;
mod fsck;
mod salvage;

pub use backup::{BackupError, BackupReport, LastBackup, Moved, backup, last_backup, note_backup, restore};
pub use dump::{DumpError, Format, dump, dump_buckets};
pub use fsck::{Findings, Problem, fsck};
pub use salvage::{Loss, LostSeries, SalvageError, Salvaged, salvage};

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
    }
    Ok(hex::encode(hasher.finalize()))
}
