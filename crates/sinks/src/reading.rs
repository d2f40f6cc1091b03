//! A reading on its way out, and how it is written as a line.
//!
//! ```text
//! reading,device=main,exponent=-1,facility=hall,point=v1,tenant=acme,unit=V quality=0i,raw=2301i,seq=7i,value=230.1,version=0i 1748736000000
//! ```
//!
//! The tags are what the store tells series apart by, so two readings are one line's worth exactly when they are one
//! reading. The same reading makes the same bytes whenever it is sent.

use std::sync::Arc;

use store::{Sample, SeriesId, SeriesKey};
use units::Measured;
use wire::line_protocol::{Line, LineError, MEASUREMENT};

/// A series, and what its lines begin with.
#[derive(Debug)]
pub struct Series {
    pub id: SeriesId,
    pub key: SeriesKey,
    line: Result<Line, LineError>,
}

impl Series {
    #[must_use]
    pub fn new(id: SeriesId, key: SeriesKey) -> Self {
        let line = Self::line(&key);
        Self { id, key, line }
    }

    fn line(key: &SeriesKey) -> Result<Line, LineError> {
        Line::new(MEASUREMENT)?
            .tag("device", key.device.as_str())?
            .tag("exponent", &key.exponent.to_string())?
            .tag("facility", key.facility.as_str())?
            .tag("point", &key.point)?
            .tag("tenant", key.tenant.as_str())?
            .tag("unit", key.unit.symbol())
    }

    /// What tells it from the others of its facility: device, point, unit and exponent.
    #[must_use]
    pub fn name(&self) -> SeriesName {
        name(&self.key)
    }
}

/// Device, point, symbol of the unit, exponent.
pub type SeriesName = (String, String, String, i8);

/// What tells a series from the others of its facility.
#[must_use]
pub fn name(key: &SeriesKey) -> SeriesName {
    (key.device.to_string(), key.point.clone(), key.unit.symbol().to_owned(), key.exponent)
}

/// One version of one reading, with its series.
#[derive(Clone, Debug)]
pub struct Reading {
    pub series: Arc<Series>,
    pub sample: Sample,
}

impl Reading {
    /// The line, without a line feed.
    ///
    /// * Errors: a name or a number that no line can carry.
    pub fn line(&self) -> Result<String, LineError> {
        let Sample { ts_ms, raw, quality, seq, version, .. } = self.sample;
        let mut line = self.series.line.clone()?.integer("quality", quality.bits().into())?;
        if let Some(raw) = raw {
            line = line.integer("raw", raw)?;
        }
        line = line.integer("seq", i64::try_from(seq).map_err(|_beyond| LineError::Seq(seq))?)?;
        if let Some(raw) = raw {
            let SeriesKey { unit, exponent, .. } = self.series.key;
            line = line.decimal("value", &Measured { raw, exponent, unit })?;
        }
        line.integer("version", version.into())?.at(ts_ms)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ids::Slug;
    use units::{Quality, Unit};

    pub(crate) fn series(id: u32, device: &str, exponent: i8) -> Arc<Series> {
        let slug = |text| Slug::parse(text).unwrap();
        let (tenant, facility, device) = (slug("acme"), slug("hall"), slug(device));
        Arc::new(Series::new(SeriesId(id), SeriesKey { tenant, facility, device, point: "v1".to_owned(), unit: Unit::Volt, exponent }))
    }

    pub(crate) fn reading(series: &Arc<Series>, ts_ms: i64, raw: Option<i64>) -> Reading {
        let quality = if raw.is_some() { Quality::GOOD } else { Quality::SILENT };
        Reading { series: series.clone(), sample: Sample { ts_ms, raw, quality, words: None, seq: 7, version: 0, lsn: 1 } }
    }

    #[test]
    fn a_line_says_everything_once() {
        let lines = [(-1, Some(2301)), (0, Some(-5)), (2, Some(3)), (-1, None)]
            .map(|(exponent, raw)| reading(&series(1, "main", exponent), 1_748_736_000_000, raw).line().unwrap());
        insta::assert_snapshot!(lines.join("\n"), @r"
        reading,device=main,exponent=-1,facility=hall,point=v1,tenant=acme,unit=V quality=0i,raw=2301i,seq=7i,value=230.1,version=0i 1748736000000
        reading,device=main,exponent=0,facility=hall,point=v1,tenant=acme,unit=V quality=0i,raw=-5i,seq=7i,value=-5,version=0i 1748736000000
        reading,device=main,exponent=2,facility=hall,point=v1,tenant=acme,unit=V quality=0i,raw=3i,seq=7i,value=300,version=0i 1748736000000
        reading,device=main,exponent=-1,facility=hall,point=v1,tenant=acme,unit=V quality=41024i,seq=7i,version=0i 1748736000000
        ");
    }
}
