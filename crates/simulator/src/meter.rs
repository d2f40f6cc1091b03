//! A meter: a device profile with something to measure, seen through its registers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use daemon::Clock;
use devices::{Discovery, Point, Profile, Table};
use jiff::Timestamp;
use units::{Measured, Unit};

use crate::electrical::{Grid, Installation, Snapshot};
use crate::load::Load;
use crate::mistake::{self, Mistake};
use crate::seed::{mix, wobble};
use crate::series::Series;

/// How a device refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exception {
    #[error("illegal function")]
    IllegalFunction,
    #[error("illegal data address")]
    IllegalAddress,
    #[error("illegal data value")]
    IllegalValue,
    #[error("device failure")]
    DeviceFailure,
}

impl Exception {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::IllegalFunction => 1,
            Self::IllegalAddress => 2,
            Self::IllegalValue => 3,
            Self::DeviceFailure => 4,
        }
    }
}

/// Why there is no such SunSpec device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no device can be made of model {0} in this chain")]
pub struct NoSuchModel(u16);

/// What a device says of itself by functions of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nameplate {
    /// Basic objects of function 43/14: maker, product code, revision. Without one, the function is refused.
    pub objects: Vec<String>,
    /// The text of function 17; refused where there is none.
    pub server_id: Option<String>,
}

/// A simulated device. Its registers show what there is to measure at the clock's time.
#[derive(Debug)]
pub struct Meter {
    profile: Arc<Profile>,
    source: Source,
    clock: Arc<dyn Clock>,
    /// Registers with fixed contents: what names the model.
    fixed: BTreeMap<(Table, u16), u16>,
    /// What it says of itself.
    pub(crate) nameplate: Nameplate,
    /// What whoever installed it did wrong, and when.
    mistakes: Vec<Mistake>,
    installed: Timestamp,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
enum Source {
    Electrical(Installation),
    Climate {
        temperature: Series,
        seed: u64,
    },
    /// Every register means something else at every moment.
    Coded {
        seed: u64,
        step_ms: i64,
    },
}

/// What the registers show, kept until the time changes.
#[derive(Debug, Default)]
struct Shown {
    at_ms: Option<i64>,
    snapshot: Option<Snapshot>,
    /// By point of the profile; `Some(None)` for a point that this device cannot show.
    words: Vec<Option<Option<Vec<u16>>>>,
}

impl Meter {
    /// A power meter on a load. The counter stood at `offset_wh` when the load began.
    #[must_use]
    pub fn electrical(profile: &Profile, load: &Load, grid: Grid, seed: u64, offset_wh: i64, clock: Arc<dyn Clock>) -> Self {
        let installation = Installation::new(load, profile.phases(), grid, seed, offset_wh.saturating_mul(1000));
        Self::new(profile, Source::Electrical(installation), clock)
    }

    /// A temperature and humidity sensor; `temperature` in thousandths of a degree Celsius.
    #[must_use]
    pub fn climate(profile: &Profile, temperature: Series, seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self::new(profile, Source::Climate { temperature, seed }, clock)
    }

    /// A device whose every point shows another number in every step of `step_ms`, so that whoever reads the wrong register, or an
    /// old answer, is caught.
    #[must_use]
    pub fn coded(profile: &Profile, seed: u64, step_ms: i64, clock: Arc<dyn Clock>) -> Self {
        Self::new(profile, Source::Coded { seed, step_ms: step_ms.max(1) }, clock)
    }

    fn new(profile: &Profile, source: Source, clock: Arc<dyn Clock>) -> Self {
        let mut fixed = BTreeMap::new();
        for identify in profile.identify() {
            let addresses = (identify.address..=u16::MAX).map(|address| (identify.table, address));
            fixed.extend(addresses.zip(identify.words.iter().copied()));
        }
        let installed = clock.now();
        let shown = Mutex::new(Shown::default());
        let (nameplate, mistakes) = (Nameplate::default(), Vec::new());
        Self { profile: Arc::new(profile.clone()), source, clock, fixed, nameplate, mistakes, installed, shown }
    }

    /// A device on a load that says itself where its registers are: a SunSpec chain with one model of interest.
    ///
    /// * Errors: `said` has no such model, or cannot be said.
    pub fn sunspec(said: &Discovery, number: u16, load: &Load, seed: u64, clock: Arc<dyn Clock>) -> Result<Self, NoSuchModel> {
        let refused = || NoSuchModel(number);
        let at = said.models.iter().find(|at| at.number == number).copied().ok_or_else(refused)?;
        let whole = said.profile(&[(at, &[])]).map_err(|_faults| refused())?;
        // Factors as devices of that size have them: powers in tens of watts, everything else by the step of its readings.
        let mut words = vec![0; usize::from(at.length) + 2];
        for point in whole.points() {
            let power =
                if matches!(point.unit, Unit::Watt | Unit::VoltAmpere | Unit::Var) { 1 } else { point.exponent - point.scale.exponent };
            if let Some(word) = point.scale_factor.and_then(|factor| words.get_mut(usize::from(factor.address - at.address))) {
                *word = i16::from(power).cast_unsigned();
            }
        }
        let profile = said.profile(&[(at, &words)]).map_err(|_faults| refused())?;
        let mut meter = Self::electrical(&profile, load, Grid::EUROPE, seed, 1_234_567, clock);
        let said = said.registers().ok_or_else(refused)?;
        meter.fixed.extend(said.into_iter().map(|(address, word)| ((Table::Holding, address), word)));
        Ok(meter)
    }

    /// The same device with these contents in some registers, whatever the time.
    #[must_use]
    pub fn with_registers(mut self, table: Table, address: u16, words: &[u16]) -> Self {
        self.fixed.extend((address..=u16::MAX).map(|address| (table, address)).zip(words.iter().copied()));
        self
    }

    /// The same device, which says this of itself.
    #[must_use]
    pub fn with_nameplate(mut self, nameplate: Nameplate) -> Self {
        self.nameplate = nameplate;
        self
    }

    /// The same meter, installed wrongly from now on.
    #[must_use]
    pub fn with_mistake(mut self, mistake: Mistake) -> Self {
        self.mistakes.push(mistake);
        self.installed = self.clock.now();
        self
    }

    /// The profile this device follows.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Reads registers as the device shows them now.
    ///
    /// * Shape: `count` words. Registers that mean nothing read as zero beside ones that mean something.
    /// * Errors: a length the device refuses, a range without any register of its own, a value its registers cannot show.
    pub fn read(&self, table: Table, address: u16, count: u16) -> Result<Vec<u16>, Exception> {
        self.read_at(table, address, count, self.now())
    }

    /// The time by which the device measures.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// As [`Meter::read`], with what the registers show at a moment.
    pub(crate) fn read_at(&self, table: Table, address: u16, count: u16, now: Timestamp) -> Result<Vec<u16>, Exception> {
        if count == 0 || count > self.profile.max_registers() {
            return Err(Exception::IllegalValue);
        }
        let (first, end) = (u32::from(address), u32::from(address) + u32::from(count));
        if end > 0x1_0000 {
            return Err(Exception::IllegalAddress);
        }
        let mut answer = vec![0; usize::from(count)];
        let mut defined = false;
        let mut put = |at: u16, word: u16| {
            let offset = u32::from(at).checked_sub(first).and_then(|offset| usize::try_from(offset).ok());
            if let Some(cell) = offset.and_then(|offset| answer.get_mut(offset)) {
                *cell = word;
                defined = true;
            }
        };
        for ((_, at), word) in self.fixed.range((table, address)..=(table, u16::try_from(end - 1).unwrap_or(u16::MAX))) {
            put(*at, *word);
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.refresh(now, self.profile.points().len(), || self.snapshot(now));
        for (index, point) in self.profile.points().iter().enumerate() {
            let (begins, ends) = point.span();
            if point.table != table || ends <= first || begins >= end {
                continue;
            }
            if shown.words[index].is_none() {
                shown.words[index] = Some(self.show(point, shown.snapshot.as_ref(), now));
            }
            let Some(Some(words)) = &shown.words[index] else { return Err(Exception::DeviceFailure) };
            let width = usize::from(point.encoding.words());
            for (offset, word) in (0..).zip(words.iter().take(width)) {
                put(point.address + offset, *word);
            }
            if let (Some(factor), Some(word)) = (point.scale_factor, words.get(width)) {
                put(factor.address, *word);
            }
        }
        if defined { Ok(answer) } else { Err(Exception::IllegalAddress) }
    }

    /// What a correct reader must find in a point at a moment: the quantity as the registers can express it.
    ///
    /// * Errors: `None` for a point that this device does not have or cannot show.
    #[must_use]
    pub fn truth(&self, id: &str, at: Timestamp) -> Option<Measured> {
        let point = self.profile.point(id)?;
        let snapshot = self.snapshot(at);
        devices::decode(point, &self.show(point, snapshot.as_ref(), at)?).ok()
    }

    /// What there is to measure at a moment, as this meter was installed.
    fn snapshot(&self, at: Timestamp) -> Option<Snapshot> {
        let at = mistake::moment(&self.mistakes, at);
        match &self.source {
            Source::Electrical(installation) => Some(mistake::snapshot(installation, &self.mistakes, self.installed, at)),
            Source::Climate { .. } | Source::Coded { .. } => None,
        }
    }

    /// The words of a point, or those that say "no value"; `None` where the registers can say neither.
    fn show(&self, point: &Point, snapshot: Option<&Snapshot>, at: Timestamp) -> Option<Vec<u16>> {
        let quantity = match (&self.source, snapshot) {
            (Source::Electrical(_), _) if matches!(point.id.as_str(), "clock" | "ct_ratio") => {
                mistake::nameplate(&self.mistakes, &point.id, point.unit, at)
            }
            (Source::Electrical(_), Some(snapshot)) => snapshot.quantity(&point.id, point.unit),
            (Source::Climate { temperature, seed }, _) => climate(&point.id, temperature, *seed, at),
            (Source::Coded { seed, step_ms }, _) => Some(coded(point, *seed, at.as_millisecond().div_euclid(*step_ms))),
            (Source::Electrical(_), None) => None,
        };
        quantity.and_then(|measured| devices::encode(point, measured).ok()).or_else(|| devices::absent(point))
    }
}

impl Shown {
    fn refresh(&mut self, now: Timestamp, points: usize, snapshot: impl FnOnce() -> Option<Snapshot>) {
        let at_ms = Some(now.as_millisecond());
        if self.at_ms != at_ms {
            *self = Self { at_ms, snapshot: snapshot(), words: vec![None; points] };
        }
    }
}

/// A number that belongs to this point in this step and, as far as the registers can tell, to nothing else.
fn coded(point: &Point, seed: u64, step: i64) -> Measured {
    let bytes = point.id.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(257).wrapping_add(u64::from(byte)));
    let number = mix(seed, &[bytes, step.cast_unsigned()]);
    let bound = if point.encoding.words() == 1 { 30_000 } else { 8_000_000 };
    Measured { raw: (1 + number % bound).cast_signed(), exponent: point.exponent, unit: point.unit }
}

/// Outdoor air: humid when it is cold, drier when it is warm; light by day, and the air of a room that people breathe.
fn climate(id: &str, temperature: &Series, seed: u64, at: Timestamp) -> Option<Measured> {
    let milli = temperature.milli(at)?;
    let quarter = at.as_millisecond().div_euclid(900_000).cast_unsigned();
    // Noon at 12:00 UTC, dark from 18:00 to 6:00; in parts of a thousand of the brightest light.
    let hour_milli = at.as_millisecond().rem_euclid(86_400_000) / 3_600;
    let light = (1000 - (hour_milli - 12_000).abs() / 6).max(0);
    match id {
        "illuminance" => Some(Measured { raw: light * 60, exponent: 0, unit: Unit::Lux }),
        "par" | "par_x10" => Some(Measured { raw: light, exponent: 0, unit: Unit::MicromolePerSquareMetreSecond }),
        "co2" => Some(Measured { raw: 600 + wobble(seed, &[0xC0, quarter], 150), exponent: 0, unit: Unit::Ppm }),
        "voc" => Some(Measured { raw: 150 + wobble(seed, &[0x70, quarter], 100), exponent: -3, unit: Unit::Ppm }),
        "pressure" => Some(Measured { raw: 10_132 + wobble(seed, &[0x50, quarter], 150), exponent: -1, unit: Unit::Hectopascal }),
        "status" | "motion" => Some(Measured { raw: 0, exponent: 0, unit: Unit::Ratio }),
        // A counter that goes on and on: a pulse every three seconds since 1970, as far as its registers reach.
        id if id.starts_with("pulses") => {
            Some(Measured { raw: at.as_millisecond().div_euclid(3_000).rem_euclid(65_000), exponent: 0, unit: Unit::Pulse })
        }
        "weight" | "gross" => Some(Measured { raw: 12_000 + wobble(seed, &[0x3C, quarter], 2_000), exponent: -3, unit: Unit::Kilogram }),
        "tare" => Some(Measured { raw: 500, exponent: -3, unit: Unit::Kilogram }),
        "temperature" => Some(Measured { raw: milli, exponent: -3, unit: Unit::Celsius }),
        "humidity" => {
            let raw = (75_000 - milli).clamp(20_000, 95_000) + wobble(seed, &[0x68, quarter], 3_000);
            Some(Measured { raw, exponent: -3, unit: Unit::PercentRh })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use devices::Kind;
    use jiff::ToSpan;

    use super::*;
    use crate::clock::DrivenClock;

    fn clock() -> DrivenClock {
        DrivenClock::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + 1000.hours())
    }

    fn load() -> Load {
        let hours: Vec<_> = (0..48_i64).map(|n| (Timestamp::UNIX_EPOCH + n.hours(), 20_000 + n * 137)).collect();
        Load::hourly(&hours).unwrap()
    }

    #[test]
    fn every_profile_reads_back_through_its_own_plan() {
        let clock = clock();
        for profile in devices::builtin() {
            let meter = match profile.kind() {
                Kind::PowerMeter | Kind::Inverter => {
                    Meter::electrical(profile, &load(), Grid::EUROPE, 7, 1_234_567, Arc::new(clock.clone()))
                }
                Kind::Sensor | Kind::PulseCounter | Kind::Scale => {
                    let temperature = Series::new(&[(Timestamp::UNIX_EPOCH, -3_250)]).unwrap();
                    Meter::climate(profile, temperature, 7, Arc::new(clock.clone()))
                }
            };
            clock.advance_to(clock.now() + 97.minutes());
            let now = clock.now();
            let plan = profile.plan(&[]).unwrap();
            let mut seen = 0;
            for block in &plan.blocks {
                let answer = meter.read(block.table, block.address, block.count).unwrap_or_else(|err| panic!("{}: {err}", profile.id()));
                for (point, _, measured) in block.decode(&answer) {
                    let truth = meter.truth(&point.id, now);
                    assert_eq!(measured.ok(), truth, "{} {}", profile.id(), point.id);
                    seen += usize::from(truth.is_some());
                }
            }
            assert!(seen * 10 >= profile.points().len() * 8, "{}: only {seen} points have values", profile.id());
        }
    }

    #[test]
    fn counters_show_the_load_and_the_offset() {
        let clock = clock();
        let profile = devices::find("schneider-iem3000").unwrap();
        let meter = Meter::electrical(profile, &load(), Grid::EUROPE, 1, 5_000, Arc::new(clock));
        let shown = |hours: i64| meter.truth("e_imp", Timestamp::UNIX_EPOCH + hours.hours()).unwrap().decimal_text();
        assert_eq!((shown(0), shown(1), shown(2)), ("5".to_owned(), "25".to_owned(), "45.137".to_owned()));
    }

    #[test]
    fn devices_refuse_what_real_ones_refuse() {
        let profile = devices::find("carlo-gavazzi-em24-rs485").unwrap();
        let meter = Meter::electrical(profile, &load(), Grid::EUROPE, 1, 0, Arc::new(clock()));
        assert_eq!(meter.read(Table::Input, 0, 12), Err(Exception::IllegalValue));
        assert_eq!(meter.read(Table::Input, 0, 0), Err(Exception::IllegalValue));
        assert_eq!(meter.read(Table::Input, 9000, 2), Err(Exception::IllegalAddress));
        assert_eq!(meter.read(Table::Holding, 0, 2), Err(Exception::IllegalAddress));
        assert_eq!(meter.read(Table::Input, 65_535, 2), Err(Exception::IllegalAddress));
        assert_eq!(meter.read(Table::Input, 4, 6).map(|words| words.len()), Ok(6));
    }
}
