//! Which orders were already given: an order is obeyed once, also when somebody recorded it and sends it again.
//!
//! Ids are kept until their order has expired, in a file that is durable before the order is obeyed. There is room for
//! so many; when it is full of orders that have not expired, further ones are refused. An order that expires before
//! one that was already forgotten is refused too, so that a clock that is set back opens no door.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::durable;

const NAME: &str = "commands.json";
const SCHEMA: &str = "negawatt.gateway-commands/1";
/// Orders remembered at once.
const SEEN_MAX: usize = 1_024;

/// The orders that are remembered.
#[derive(Debug)]
pub(super) struct Seen {
    folder: PathBuf,
    memory: Memory,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Memory {
    schema: String,
    /// When the latest of the forgotten orders expired.
    forgotten_ms: i64,
    /// When each order expires.
    ids: BTreeMap<String, i64>,
}

/// Why an order is not obeyed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SeenError {
    #[error("this order was given before")]
    Before,
    #[error("this order expires too early to tell whether it was given before")]
    Forgotten,
    #[error("{SEEN_MAX} orders that have not expired are remembered, and there is no room for more")]
    Full,
    #[error("could not remember the order")]
    Write(#[source] io::Error),
}

impl Seen {
    /// Reads what is remembered. A file that makes no sense is told and begun anew.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let empty = Memory { schema: SCHEMA.to_owned(), forgotten_ms: i64::MIN, ids: BTreeMap::new() };
        let memory = durable::read(&folder.join(NAME))?.map(|bytes| serde_json::from_slice::<Memory>(&bytes));
        let memory = match memory {
            Some(Ok(memory)) if memory.schema == SCHEMA => memory,
            None => empty,
            Some(_) => {
                tracing::warn!(folder = %folder.display(), "the list of orders already given is damaged and begun anew");
                empty
            }
        };
        Ok(Self { folder: folder.to_owned(), memory })
    }

    /// Remembers an order, durably, unless it must not be obeyed.
    pub(super) fn remember(&mut self, id: &str, expires_ms: i64, now_ms: i64) -> Result<(), SeenError> {
        if self.memory.ids.contains_key(id) {
            return Err(SeenError::Before);
        }
        let mut memory = self.memory.clone();
        let expired = memory.ids.values().copied().filter(|expires_ms| *expires_ms <= now_ms).max();
        memory.ids.retain(|_, expires_ms| *expires_ms > now_ms);
        memory.forgotten_ms = memory.forgotten_ms.max(expired.unwrap_or(i64::MIN));
        if expires_ms <= memory.forgotten_ms {
            return Err(SeenError::Forgotten);
        }
        if memory.ids.len() >= SEEN_MAX {
            return Err(SeenError::Full);
        }
        memory.ids.insert(id.to_owned(), expires_ms);
        let text = serde_json::to_vec(&memory).expect("texts and numbers are JSON");
        durable::place(&self.folder, NAME, &text).map_err(SeenError::Write)?;
        self.memory = memory;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_obeyed_once_across_restarts_and_clocks() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Seen::open(folder.path()).unwrap();
        open().remember("a", 1_000, 10).unwrap();
        assert!(matches!(open().remember("a", 1_000, 20), Err(SeenError::Before)));
        assert!(matches!(open().remember("a", 9_000, 20), Err(SeenError::Before)));
        // It has expired and is forgotten; then the clock is set back.
        open().remember("b", 3_000, 2_000).unwrap();
        assert!(matches!(open().remember("a", 1_000, 20), Err(SeenError::Forgotten)));
        open().remember("c", 3_500, 2_001).unwrap();
    }

    #[test]
    fn there_is_room_for_so_many_and_again_when_they_have_expired() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::open(folder.path()).unwrap();
        let ids = (0..SEEN_MAX).map(|id| (id.to_string(), 1_000)).collect();
        seen.memory.ids = ids;
        assert!(matches!(seen.remember("one-more", 2_000, 999), Err(SeenError::Full)));
        seen.remember("one-more", 2_000, 1_000).unwrap();
        assert_eq!(seen.memory.ids.len(), 1);
    }

    #[test]
    fn a_damaged_list_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), b"{").unwrap();
        Seen::open(folder.path()).unwrap().remember("a", 2, 1).unwrap();
    }
}
