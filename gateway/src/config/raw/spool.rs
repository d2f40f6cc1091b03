//! `[spool]`: how readings are kept until they are delivered.

use std::time::Duration;

use config::{ByteSizeText, DurationText, Fault, Faults};
use serde::Deserialize;

use super::super::SpoolConfig;

const SPOOL_BYTES_MIN: u64 = 2 << 20;
const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpool {
    max: Option<ByteSizeText>,
    commit_interval: Option<DurationText>,
}

pub(super) fn check(raw: &RawSpool, faults: &mut Faults) -> Option<SpoolConfig> {
    let bytes_max = raw.max.map(ByteSizeText::bytes);
    let interval = raw.commit_interval.map_or(Duration::ZERO, Duration::from);
    let mut right = true;
    if let Some(found) = raw.max.filter(|max| max.bytes() < SPOOL_BYTES_MIN) {
        faults.add(
            Fault::at("spool.max", format_args!("{found} is too little for a spool"))
                .allowed("at least 2MiB; 256MiB keeps a month of 30 meters"),
        );
        right = false;
    }
    if interval > COMMIT_INTERVAL_MAX {
        let found = raw.commit_interval.unwrap_or(DurationText::from_secs(0));
        faults.add(
            Fault::at("spool.commit_interval", format_args!("a power cut would cost the readings of {found}"))
                .allowed("0s to 1m; 0s makes every sweep durable at its end"),
        );
        right = false;
    }
    right.then_some(SpoolConfig { bytes_max, commit_interval: interval })
}
