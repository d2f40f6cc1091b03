//! How much room there is where a store lies.

use std::{io, path::Path};

/// The part of a folder's disk that this user may still fill, from 0 to 1.
pub fn free_ratio(folder: &Path) -> io::Result<f64> {
    let found = rustix::fs::statvfs(folder)?;
    // A disk without blocks, like an overlay of nothing, has none free.
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than a float holds")]
    Ok(if found.f_blocks == 0 { 0.0 } else { found.f_bavail as f64 / found.f_blocks as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_some_of_its_room_left_and_a_folder_that_is_gone_has_none_to_tell() {
        let folder = tempfile::tempdir().unwrap();
        let ratio = free_ratio(folder.path()).unwrap();
        assert!(ratio > 0.0 && ratio <= 1.0, "{ratio}");
        assert_eq!(free_ratio(&folder.path().join("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
