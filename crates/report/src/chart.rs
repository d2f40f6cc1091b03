//! What was used and what would have been used, day by day.

use jiff::civil::Date;
use settlement::Period;

use crate::fonts::{Run, Style};
use crate::paper::Day;
use crate::phrase;
use crate::sheet::{Area, GREEN, GREY, HAIR, INK, INNER, LEFT, Mark, Meaning, Node, Role, Sheet};

const HEIGHT: f32 = 150.0;
const AXIS: f32 = 44.0;
const BELOW: f32 = 16.0;
const LEGEND: f32 = 20.0;
/// Steps of the upright axis, at most.
const STEPS_MAX: i64 = 5;
/// Day names along the level axis, at most.
const NAMES_MAX: usize = 16;
/// What was saved, and what was used beyond the expectation.
const SAVED: [u8; 3] = [0xb9, 0xde, 0xcf];
const EXCESS: [u8; 3] = [0xc9, 0x6a, 0x1b];

/// The whole height that a chart takes.
pub(crate) const CHART_HEIGHT: f32 = HEIGHT + LEGEND + BELOW + 10.0;

/// From zero to `top` watt-hours in equal steps: the smallest of 1, 2 and 5 times a power of ten that does not take too many.
fn scale(largest: i64) -> (i64, i64) {
    let mut power = 1_i64;
    loop {
        for step in [1, 2, 5].map(|digit| power.saturating_mul(digit)) {
            let count = largest.max(1).div_euclid(step) + i64::from(largest.max(1).rem_euclid(step) != 0);
            if count <= STEPS_MAX {
                return (step, count);
            }
        }
        power = power.saturating_mul(10);
    }
}

/// A part of the way up.
#[expect(clippy::cast_precision_loss, reason = "a place on paper needs three digits")]
fn part(value: i64, top: i64) -> f32 {
    (value.max(0) as f32 / top.max(1) as f32).min(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "days of a period")]
fn count(days: usize) -> f32 {
    days as f32
}

/// Every day of the period.
fn dates(period: Period) -> Vec<Date> {
    period.first().series(jiff::Span::new().days(1)).take_while(|date| *date < period.end()).collect()
}

/// The sentence that stands for the chart where it cannot be seen.
fn sentence(period: Period, days: &[Day], missing: usize) -> String {
    let saving = days.iter().filter(|day| day.observed_wh < day.counterfactual_wh).count();
    let less = format!("less was used than expected on {saving} of {} compared days", days.len());
    let gap = match missing {
        0 => String::new(),
        1 => "; one day could not be compared".to_owned(),
        many => format!("; {many} days could not be compared"),
    };
    format!("Chart of the energy used and expected on each day, {}: {less}{gap}.", phrase::period(period))
}

impl Sheet {
    /// Draws the chart over the whole width.
    pub(crate) fn chart(&mut self, period: Period, days: &[Day]) -> Node {
        self.need(CHART_HEIGHT);
        let leaf = self.leaf();
        let dates = dates(period);
        let largest = days.iter().map(|day| day.counterfactual_wh.max(day.observed_wh).as_wh()).max().unwrap_or(0);
        let (step, steps) = scale(largest);
        let ceiling = step.saturating_mul(steps);
        let (top, area) = (self.y, Area { x: LEFT, y: self.y, width: INNER, height: CHART_HEIGHT });
        let plot = Area { x: LEFT + AXIS, y: top + LEGEND, width: INNER - AXIS, height: HEIGHT };
        let mut marks = self.legend(top);
        for index in 0..=steps {
            let y = plot.y + plot.height * (1.0 - part(index.saturating_mul(step), ceiling));
            let colour = if index == 0 { GREY } else { HAIR };
            marks.push(Mark::Line { from: (plot.x, y), to: (plot.x + plot.width, y), width: 0.5, colour });
            let label = self.fonts.run(&phrase::short_kwh(index.saturating_mul(step)), Style::regular(7.0, GREY).figures());
            marks.push(Mark::Text { x: plot.x - 6.0 - label.width, y: y + 2.5, run: label });
        }
        let slot = plot.width / count(dates.len().max(1));
        let every = dates.len().div_ceil(NAMES_MAX).max(1);
        for (index, date) in dates.iter().enumerate() {
            let x = plot.x + slot * count(index);
            if let Some(day) = days.iter().find(|day| day.date == *date) {
                marks.extend(bar(day, plot, (x, slot), ceiling));
            }
            if index.is_multiple_of(every) {
                let label = self.day_name(*date, index == 0 || date.day() <= i8::try_from(every).unwrap_or(1));
                marks.push(Mark::Text { x: x + (slot - label.width) / 2.0, y: plot.y + plot.height + 10.0, run: label });
            }
        }
        for mark in marks {
            self.put(Meaning::Read(leaf), mark);
        }
        let instead = sentence(period, days, dates.len().saturating_sub(days.len()));
        let figure = Role::Figure { instead, page: self.page(), area };
        self.y = top + CHART_HEIGHT;
        Node::Part(figure, vec![Node::Leaf(leaf)])
    }

    fn day_name(&self, date: Date, with_month: bool) -> Run {
        let name = phrase::day(date);
        let mut words = name.split(' ');
        let (day, month) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let month: String = month.chars().take(3).collect();
        let text = if with_month { format!("{day} {month}") } else { day.to_owned() };
        self.fonts.run(&text, Style::regular(7.0, GREY))
    }

    fn legend(&mut self, top: f32) -> Vec<Mark> {
        let (y, mut x) = (top + 7.0, LEFT + AXIS);
        let mut marks = Vec::new();
        let unit = self.fonts.run("kWh a day", Style::regular(7.0, GREY));
        marks.push(Mark::Text { x: LEFT + AXIS - 6.0 - unit.width, y, run: unit });
        for (name, colour, height) in [
            ("used", GREEN, 6.0),
            ("not used", SAVED, 6.0),
            ("used beyond the expectation", EXCESS, 6.0),
            ("expected without the retrofit", INK, 1.2),
        ] {
            let area = Area { x, y: y - 2.4 - height / 2.0, width: 9.0, height };
            marks.push(Mark::Panel { area, radius: 0.0, colour });
            let run = self.fonts.run(name, Style::regular(7.5, INK));
            let wide = run.width;
            marks.push(Mark::Text { x: x + 13.0, y, run });
            x += 13.0 + wide + 16.0;
        }
        marks
    }
}

/// One day: what was used, what was saved above it or used beyond the expectation, and the expectation itself.
fn bar(day: &Day, plot: Area, (x, slot): (f32, f32), ceiling: i64) -> Vec<Mark> {
    let height = |wh: i64| plot.height * part(wh, ceiling);
    let (used, expected) = (height(day.observed_wh.as_wh()), height(day.counterfactual_wh.as_wh()));
    let gap = (slot * 0.22).min(3.0);
    let floor = plot.y + plot.height;
    let block = |from: f32, to: f32, colour| Mark::Panel {
        area: Area { x: x + gap / 2.0, y: floor - to, width: slot - gap, height: to - from },
        radius: 0.0,
        colour,
    };
    let mut marks = vec![block(0.0, used.min(expected), GREEN)];
    if expected > used {
        marks.push(block(used, expected, SAVED));
    } else if used > expected {
        marks.push(block(expected, used, EXCESS));
    }
    marks.push(Mark::Line { from: (x, floor - expected), to: (x + slot, floor - expected), width: 1.2, colour: INK });
    marks.retain(|mark| !matches!(mark, Mark::Panel { area, .. } if area.height <= 0.0));
    marks
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!(scale(2_345_678), (500_000, 5));
        assert_eq!(scale(1_000), (200, 5));
        assert_eq!(scale(0), (1, 1));
    }

    proptest! {
        #[test]
        fn the_scale_reaches_the_largest(largest in 0..=i64::MAX / 4) {
            let (step, steps) = scale(largest);
            prop_assert!((1..=STEPS_MAX).contains(&steps) && step * steps >= largest);
        }
    }

    #[test]
    fn a_missing_day_is_said() {
        let period = Period::new(date(2026, 7, 1), date(2026, 7, 4)).unwrap();
        let day = |day, expected, used| Day {
            date: date(2026, 7, day),
            counterfactual_wh: units::Energy::wh(expected),
            observed_wh: units::Energy::wh(used),
        };
        let days = [day(1, 10, 5), day(3, 5, 10)];
        assert_eq!(
            sentence(period, &days, dates(period).len() - days.len()),
            "Chart of the energy used and expected on each day, 1 to 3 July 2026: less was used than expected on 1 of 2 compared days; \
             one day could not be compared."
        );
    }
}
