//! Opening a spool, whatever it was left like.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ids::SpoolId;

use super::{
    Active, ID, QUARANTINE, SEGMENTS, Spool, SpoolError, SpoolEvent, SpoolOptions,
    boot::Boots,
    cursor::{self, Cursor, Mark},
    disk::{self, Disk, SystemDisk},
    fill::Fill,
    quarantine::Quarantine,
    segment::Segment,
};

/// Numbers left out when the newest segment is gone: at least as many as may have been given since the cursor was written.
const NUMBERS_SPARED: u64 = 4096;

impl Spool {
    /// Opens the spool in a folder, creating it when there is none.
    ///
    /// * `new_id` names a spool that is created now.
    pub(crate) fn open(folder: &Path, options: SpoolOptions, new_id: impl FnOnce() -> SpoolId) -> Result<Self, SpoolError> {
        Self::open_on(Arc::new(SystemDisk), folder, options, new_id)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: SpoolOptions,
        new_id: impl FnOnce() -> SpoolId,
    ) -> Result<Self, SpoolError> {
        let open = |err| SpoolError::Open { path: folder.to_owned(), err };
        disk.make_folder(&folder.join(SEGMENTS)).map_err(open)?;
        let lock = disk.lock(&folder.join("lock")).map_err(|err| match err.kind() {
            io::ErrorKind::WouldBlock => SpoolError::Locked { path: folder.to_owned() },
            _ => open(err),
        })?;
        let found = Found::look(&*disk, folder, options, new_id).map_err(open)?;
        found.recover(disk, folder.to_owned(), options, lock).map_err(open)
    }
}

/// What lay in the folder.
struct Found {
    id: SpoolId,
    segments: VecDeque<Segment>,
    cursor: Cursor,
    /// What the cursor remembered; nothing when both slots were bad or it was gone.
    mark: Option<Mark>,
}

impl Found {
    fn look(disk: &dyn Disk, folder: &Path, options: SpoolOptions, new_id: impl FnOnce() -> SpoolId) -> io::Result<Self> {
        let segments_folder = folder.join(SEGMENTS);
        disk.sync_folder(folder)?;
        if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
            disk.sync_folder(above)?;
        }
        Segment::tidy(disk, &segments_folder)?;
        let mut segments = VecDeque::from(Segment::list(disk, &segments_folder)?);
        let known = read_id(disk, folder)?.filter(|_| !segments.is_empty());
        if known.is_none() {
            // A spool is named last, so without a name nothing in it was ever sent under one.
            disk.remove(&folder.join(cursor::NAME))?;
        }
        let (cursor, mark) = Cursor::open(disk, folder)?;
        if segments.is_empty() {
            let (segment, _) = Segment::create(disk, &segments_folder, 1, options.segment_bytes)?;
            segments.push_back(segment);
        }
        let id = match known {
            Some(id) => id,
            None => {
                let id = new_id();
                disk::place(disk, folder, ID, &id_file(id))?;
                id
            }
        };
        if mark.is_none() && known.is_some() {
            tracing::warn!(
                "the spool does not know what the collector confirmed; frames are sent again, and the collector recognises them"
            );
        }
        Ok(Self { id, segments, cursor, mark })
    }

    fn recover(
        self,
        disk: Arc<dyn Disk>,
        folder: PathBuf,
        options: SpoolOptions,
        lock: Box<dyn std::any::Any + Send>,
    ) -> io::Result<Spool> {
        let Self { id, segments, cursor, mark } = self;
        let newest = segments.back().cloned().ok_or(io::ErrorKind::NotFound)?;
        let oldest = segments.front().map_or(1, |segment| segment.first);
        let (bytes, scan) = newest.load(&*disk)?;
        let mut quarantine = Quarantine::new(folder.join(QUARANTINE));
        let (stretches, damaged_bytes) = quarantine.note(&*disk, &newest, &bytes, &scan);
        let file = disk.open(&newest.path)?;
        if let Some(tail) = scan.tail.clone() {
            disk::write_zeros(&*file, u64::try_from(tail.start).map_err(io::Error::other)?, tail.len())?;
            file.sync()?;
        }
        let after_last = scan.entries.last().map_or(newest.first, |entry| entry.seq + 1) + scan.burnt(&bytes, newest.first);
        // Without a cursor nothing is known but that segments are removed from the oldest on, and never before their time.
        let acknowledged = mark.map_or(oldest - 1, |mark| mark.acknowledged);
        let spared = mark.filter(|mark| newest.first < mark.newest).map_or(0, |mark| mark.newest.max(mark.written + 1) + NUMBERS_SPARED);
        let next_seq = after_last.max(acknowledged + 1).max(mark.map_or(0, |mark| mark.written) + 1).max(spared);
        // One that was rewritten to be small takes no more.
        let whole = newest.bytes >= u64::try_from(options.segment_bytes).map_err(io::Error::other)?;
        let active = Active { file, end: scan.end(), reused: scan.reused, entries: scan.entries };
        let mut spool = Spool {
            folder,
            id,
            options,
            disk,
            segments,
            active: whole.then_some(active),
            known: VecDeque::new(),
            spare: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            next_seq,
            committed: next_seq - 1,
            acknowledged,
            cursor,
            boots: Boots::default(),
            dropped: 0,
            points_left_out: 0,
            quarantine,
            fill: Fill::default(),
            percent: 0,
            events: VecDeque::new(),
            _lock: lock,
        };
        if stretches > 0 {
            spool.tell(SpoolEvent::Damaged { segment: newest.first, stretches, bytes: damaged_bytes });
        }
        if spared > 0 {
            tracing::error!(
                segment.first = newest.first,
                next = next_seq,
                "the newest segment of the spool is gone: numbers are left out so that none is given twice"
            );
        }
        spool.remove_released()?;
        spool.note_fill();
        Ok(spool)
    }
}

/// The sixteen bytes of the name, and their checksum.
fn id_file(id: SpoolId) -> Vec<u8> {
    [&id.as_bytes()[..], &crc32c::crc32c(id.as_bytes()).to_le_bytes()].concat()
}

/// The name of the spool, unless it is gone or damaged. Spools of version 0.1 have no checksum.
fn read_id(disk: &dyn Disk, folder: &Path) -> io::Result<Option<SpoolId>> {
    let Some(bytes) = disk::read_whole(disk, &folder.join(ID))? else { return Ok(None) };
    let id = bytes.get(..16).and_then(|id| <[u8; 16]>::try_from(id).ok()).map(SpoolId::from_bytes);
    let whole = |id: &SpoolId| bytes.len() == 16 || bytes == id_file(*id);
    let id = id.filter(whole);
    if id.is_none() {
        tracing::error!("the name of the spool is damaged; it gets a new one, and the collector sees a new spool");
    }
    Ok(id)
}
