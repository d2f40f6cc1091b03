//! `[spool]`: how readings are kept until they are delivered.

use std::time::Duration;

use config::{ByteSizeText, DurationText, Fault, Faults};
use serde::Deserialize;

use super::super::SpoolConfig;

const SPOOL_BYTES_MIN: u64 = 2 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpool {
    max: Option<ByteSizeText>,
    commit_interval: Option<DurationText>,
}

pub(super) fn check(raw: &RawSpool, faults: &mut Faults) -> Option<SpoolConfig> {
    let bytes_max = raw.max.map_or(256 << 20, ByteSizeText::bytes);
    if bytes_max < SPOOL_BYTES_MIN {
        let found = ByteSizeText::from_bytes(bytes_max);
        faults.add(
            Fault::at("spool.max", format_args!("{found} is too little for a spool"))
                .allowed("at least 2MiB; 256MiB keeps a month of 30 meters"),
        );
        return None;
    }
    Some(SpoolConfig { bytes_max, commit_interval: raw.commit_interval.map_or(Duration::ZERO, Duration::from) })
}
