//! The hourly model at hand: its twelve months as tables, for many hours one after another.

use super::fitted::{Load, NEUTRAL_F};
use super::hourly::{ENDPOINTS_F, Segment, WEEK};
use super::time_of_week::FEATURES;

/// The models by their months, with the occupied hours at hand.
#[derive(Debug)]
pub(super) struct ByMonth<'a>([Option<Month<'a>>; 12]);

/// The model of one month.
#[derive(Debug)]
pub(super) struct Month<'a> {
    levels: &'a [Option<f64>],
    /// Which hours of the week have the slopes of their own.
    own: [bool; WEEK],
    /// Of the other hours, then of those.
    lines: [Line; 2],
    /// The bin of the lines that each bin of the whole grid is part of.
    merged: [u8; FEATURES],
}

impl<'a> ByMonth<'a> {
    pub(super) fn of(segments: &'a [Segment]) -> Self {
        let mut months = [const { None }; 12];
        for segment in segments {
            months[usize::from(segment.month.clamp(1, 12)) - 1] = Some(Month::of(segment));
        }
        Self(months)
    }

    /// What is expected of an hour, and its parts; `None` for an hour of the week or a month that was never seen.
    #[inline]
    pub(super) fn load(&self, month: u8, hour_of_week: u8, temperature_f: f64) -> Option<Load> {
        self.0.get(usize::from(month).checked_sub(1)?)?.as_ref()?.load(hour_of_week, temperature_f)
    }
}

impl<'a> Month<'a> {
    pub(super) fn of(segment: &'a Segment) -> Self {
        let mut own = [false; WEEK];
        if !segment.slopes_occupied.is_empty() {
            segment.occupied.iter().for_each(|slot| own[usize::from(*slot).min(WEEK - 1)] = true);
        }
        let lines = [&segment.slopes, &segment.slopes_occupied].map(|slopes| Line::new(&segment.endpoints_f, slopes));
        let mut merged = [0; FEATURES];
        for (bin, end) in merged.iter_mut().skip(1).zip(0..) {
            *bin = segment.endpoints_f.iter().map(|kept| u8::from(ENDPOINTS_F[..=end].contains(kept))).sum();
        }
        Self { levels: &segment.levels, own, lines, merged }
    }

    #[inline]
    fn level_and_line(&self, hour_of_week: u8) -> Option<(f64, &Line)> {
        let slot = usize::from(hour_of_week);
        let level = (*self.levels.get(slot)?)?;
        Some((level, &self.lines[usize::from(*self.own.get(slot)?)]))
    }

    /// As [`Segment::expected_wh`], where the bin of the whole grid is known.
    #[inline]
    pub(super) fn expected_in(&self, hour_of_week: u8, bin: u8, temperature_f: f64) -> Option<f64> {
        let (level, line) = self.level_and_line(hour_of_week)?;
        Some(level + line.bins[usize::from(*self.merged.get(usize::from(bin))?)].response(temperature_f))
    }

    /// As [`super::fitted::split`] has it, whose temperatures between cold and warm are the same for all hours.
    #[inline]
    fn load(&self, hour_of_week: u8, temperature_f: f64) -> Option<Load> {
        let (level, line) = self.level_and_line(hour_of_week)?;
        let total = level + line.response(temperature_f);
        let (cold, warm) = (level + line.neutral.0, level + line.neutral.1);
        Some(if temperature_f < NEUTRAL_F.0 {
            Load { base_wh: cold, heating_wh: total - cold, cooling_wh: 0.0 }
        } else if temperature_f > NEUTRAL_F.1 {
            Load { base_wh: warm, heating_wh: 0.0, cooling_wh: total - warm }
        } else {
            Load { base_wh: total, heating_wh: 0.0, cooling_wh: 0.0 }
        })
    }
}

/// The response of bins to slopes: what full bins add up to is added up once.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The upper end of each bin but the last; bins that there are not end nowhere.
    ends: [f64; FEATURES - 1],
    bins: [Bin; FEATURES],
    /// The response where heating begins, and where cooling does.
    neutral: (f64, f64),
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    /// What all the bins below respond when they are full.
    below: f64,
    lower: f64,
    slope: f64,
}

impl Line {
    /// * Shape: one slope for each bin, one bin more than there are ends.
    fn new(ends_f: &[f64], slopes: &[f64]) -> Self {
        let (mut ends, mut bins) = ([f64::INFINITY; FEATURES - 1], [Bin::default(); FEATURES]);
        let (mut below, mut lower) = (0.0, 0.0);
        for (index, bin) in bins.iter_mut().enumerate() {
            let slope = slopes.get(index).copied().unwrap_or(0.0);
            *bin = Bin { below, lower, slope };
            if let (Some(end), Some(place)) = (ends_f.get(index), ends.get_mut(index)) {
                *place = *end;
                below += slope * (end - lower);
                lower = *end;
            }
        }
        let mut line = Self { ends, bins, neutral: (0.0, 0.0) };
        line.neutral = (line.response(NEUTRAL_F.0), line.response(NEUTRAL_F.1));
        line
    }

    #[inline]
    fn response(&self, temperature_f: f64) -> f64 {
        let bin = self.ends.iter().map(|end| usize::from(*end < temperature_f)).sum::<usize>();
        self.bins[bin.min(FEATURES - 1)].response(temperature_f)
    }
}

impl Bin {
    #[inline]
    fn response(&self, temperature_f: f64) -> f64 {
        self.below + self.slope * (temperature_f - self.lower)
    }
}

#[cfg(test)]
mod tests {
    use super::super::time_of_week::Bins;
    use super::*;

    #[test]
    fn a_line_is_what_its_bins_respond() {
        let ends: [f64; 6] = [30.0, 45.0, 55.0, 65.0, 75.0, 90.0];
        let slopes = [-0.4, 0.1, 0.9, -3.0, 2.5, 0.0, 7.0];
        for count in 0..=6 {
            let line = Line::new(&ends[..count], &slopes[..=count]);
            for temperature in [-20.0, 30.0, 45.0, 50.0, 65.0, 80.0, 90.0, 111.5] {
                let expected = Bins(&ends[..count]).response(&slopes[..=count], temperature);
                assert!((line.response(temperature) - expected).abs() < 1e-12, "{count} ends, {temperature} °F");
            }
        }
    }
}
