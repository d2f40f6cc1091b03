//! What goes wrong in a run.

use std::time::Duration;

use ids::IdSource;

use super::damage;
use super::failing_disk::Failing;
use super::field::{below, index};
use super::log_file::LogFile;
use super::rig::{self, Rig};
use super::run::Outcome;
use super::{Result, senders};

/// A stop that everybody's keep-alive notices; one of so many draws of it, as it takes its time.
const STOP: Duration = Duration::from_secs(60);
const STOPS_ONE_IN: u64 = 8;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillCollector,
    KillBroker,
    KillBoth,
    Freeze,
    StealSession,
    /// For a minute.
    Stop,
    WriteError,
    DiskFull,
    SyncFails,
    TornTail,
    BitFlip,
    SegmentFlip,
    ManifestFlip,
    EmptyFile,
    ClockJump,
}

impl Fault {
    pub(crate) const ALL: [Self; 15] = [
        Self::KillCollector,
        Self::KillBroker,
        Self::KillBoth,
        Self::Freeze,
        Self::StealSession,
        Self::Stop,
        Self::WriteError,
        Self::DiskFull,
        Self::SyncFails,
        Self::TornTail,
        Self::BitFlip,
        Self::SegmentFlip,
        Self::ManifestFlip,
        Self::EmptyFile,
        Self::ClockJump,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::KillCollector => "kill_collector",
            Self::KillBroker => "kill_broker",
            Self::KillBoth => "kill_both",
            Self::Freeze => "freeze",
            Self::StealSession => "steal_session",
            Self::Stop => "stop_60_s",
            Self::WriteError => "write_error",
            Self::DiskFull => "disk_full",
            Self::SyncFails => "sync_fails",
            Self::TornTail => "torn_tail",
            Self::BitFlip => "bit_flip",
            Self::SegmentFlip => "segment_flip",
            Self::ManifestFlip => "manifest_flip",
            Self::EmptyFile => "empty_file",
            Self::ClockJump => "clock_jump",
        }
    }
}

/// Each as often as any other, but for the one that takes a minute.
pub(crate) fn drawn(random: &IdSource) -> Fault {
    match Fault::ALL.get(index(random, Fault::ALL.len())).copied() {
        Some(Fault::Stop) if below(random, STOPS_ONE_IN) > 0 => Fault::Freeze,
        drawn => drawn.unwrap_or(Fault::KillCollector),
    }
}

/// Has it go wrong; what of it is noticed is counted.
pub(crate) fn inject(fault: Fault, rig: &mut Rig, random: &IdSource, outcome: &mut Outcome) -> Result<()> {
    match fault {
        Fault::KillCollector => rig.kill_collector(),
        Fault::KillBroker => rig.kill_broker(),
        Fault::KillBoth => rig.kill_broker().and_then(|()| rig.kill_collector()),
        Fault::Freeze => rig.freeze_collector(Duration::from_millis(100 + below(random, 900))),
        Fault::Stop => rig.freeze_collector(STOP),
        Fault::StealSession => senders::steal_session(rig.broker),
        Fault::WriteError => {
            rig.kill_collector()?;
            rig.start_collector(true)?;
            // It ends by itself at its first long file; or runs on, when nothing of it becomes long.
            rig.collector_ends(Duration::from_millis(500))?;
            rig.kill_collector()
        }
        Fault::DiskFull => rig.fail_disk(Failing::Full, Duration::from_millis(200 + below(random, 1_300))),
        Fault::SyncFails => rig.fail_disk(Failing::Syncs, Duration::from_millis(50 + below(random, 400))),
        Fault::TornTail => {
            rig.kill_collector()?;
            tear(rig, random)
        }
        Fault::BitFlip => flip_log(rig, random, outcome),
        Fault::SegmentFlip => {
            rig.kill_collector()?;
            outcome.looked(damage::segment(&rig.store(), random.next_u64())?);
            Ok(())
        }
        Fault::ManifestFlip => {
            rig.kill_collector()?;
            outcome.looked(damage::manifest(&rig.store(), random.next_u64())?);
            Ok(())
        }
        Fault::EmptyFile => {
            rig.kill_collector()?;
            rig::leave_behind(&rig.store())
        }
        Fault::ClockJump => rig.jump([3_600, -3_600, 0].get(index(random, 3)).copied().unwrap_or(0)),
    }
}

/// Turns a bit of the log, and back again when a start was refused for it.
fn flip_log(rig: &mut Rig, random: &IdSource, outcome: &mut Outcome) -> Result<()> {
    rig.kill_collector()?;
    // What was acknowledged may be followed by nothing but a frame that was cut off.
    if below(random, 2) == 0 {
        tear(rig, random)?;
    }
    let flipped = LogFile::newest(&rig.store())?.map_or(Ok(None), |file| file.flip(random.next_u64()))?;
    let Some(flipped) = flipped else { return Ok(()) };
    rig.start_collector(false)?;
    let noticed = rig.collector_ends(Duration::from_secs(10))?.is_some_and(|status| status.code() == Some(65));
    rig.kill_collector()?;
    if noticed {
        outcome.damage_seen += 1;
        flipped.turn()?;
    } else {
        // Whoever does not notice it goes on, and the file may have been cut or trimmed since.
        outcome.damage_unseen += 1;
    }
    Ok(())
}

fn tear(rig: &Rig, random: &IdSource) -> Result<()> {
    LogFile::newest(&rig.store())?.map_or(Ok(()), |file| file.tear(random.next_u64()))
}
