//! Every rule about sufficiency, each with data that fails it and only it, by its name, its clause and what was measured.

use std::collections::BTreeSet;

use jiff::civil::date;
use jiff::tz::TimeZone;
use negawatt_calculator::assessment::{
    Answer, CRITERIA, Found, MeterSettings, Method, Mode, Origin, Question, Remark, Row, Series, Site, Status, Weather,
};
use negawatt_calculator::baseline::{Commodity, EnergyUnit, Severity, TemperatureUnit};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Midnight UTC of 2 January 2024, where the baseline begins.
const FIRST: i64 = 1_704_153_600;
/// The first day after the intervention, counted from there.
const AFTER: i64 = 375;
const DAYS: i64 = AFTER + 365;

/// A facility of hours, days or bills, and what is done to its rows.
#[derive(Clone)]
struct Case {
    method: Method,
    commodity: Commodity,
    site: Site,
    meter: Vec<Row>,
    weather: Vec<Row>,
    /// Rows that nobody read.
    estimated: Vec<usize>,
    /// Bills for the same energy.
    billed: Vec<Row>,
}

fn degrees(hour: i64) -> f64 {
    let (day, of_day) = (hour / 24, hour % 24);
    let swing = f64::from(i32::try_from((day % 365 - 182).abs()).unwrap());
    80.0 - 0.3 * swing + f64::from(i32::try_from(day * 29 % 17).unwrap()) + f64::from(i32::try_from(of_day).unwrap()) / 4.0
}

fn used(hour: i64) -> f64 {
    1.0 + 0.05 * (55.0 - degrees(hour)).max(0.0)
        + 0.04 * (degrees(hour) - 70.0).max(0.0)
        + f64::from(i32::try_from(hour * 31 % 13).unwrap()) / 40.0
}

/// Rows of so many hours each, with those of the intervention among them.
fn case(method: Method, hours: i64) -> Case {
    let step = hours * HOUR;
    let end = DAYS * 24 / hours;
    let meter = (0..=end).map(|row| {
        let value = (row < end).then(|| (row * hours..(row + 1) * hours).map(used).sum());
        Row { at: FIRST + row * step, value }
    });
    let weather = (0..=DAYS * 24).map(|hour| Row { at: FIRST + hour * HOUR, value: Some(degrees(hour)) });
    Case {
        method,
        commodity: Commodity::Electricity,
        site: Site::default(),
        meter: meter.collect(),
        weather: weather.collect(),
        estimated: Vec::new(),
        billed: Vec::new(),
    }
}

fn daily() -> Case {
    case(Method::CaltrackDaily, 24)
}

/// The daily method on hours, which it adds up.
fn fine() -> Case {
    case(Method::CaltrackDaily, 1)
}

/// Bills that begin on the given days.
fn bills(starts: impl IntoIterator<Item = i64>) -> Case {
    let mut case = daily();
    let starts: Vec<i64> = starts.into_iter().collect();
    let rows = starts.windows(2).map(|pair| Row { at: FIRST + pair[0] * DAY, value: Some((pair[0] * 24..pair[1] * 24).map(used).sum()) });
    case.meter = rows.chain(starts.last().map(|last| Row { at: FIRST + last * DAY, value: None })).collect();
    case.method = Method::CaltrackBilling;
    case
}

/// Bills of 30 days up to the intervention, and after it.
fn monthly() -> Vec<i64> {
    (0..=12).map(|bill| 5 + 30 * bill).chain((0..=12).map(|bill| AFTER + 30 * bill)).collect()
}

impl Case {
    fn blank(mut self, days: std::ops::Range<i64>, hours: std::ops::Range<i64>) -> Self {
        blank(&mut self.meter, days, hours);
        self
    }

    fn blank_weather(mut self, days: std::ops::Range<i64>, hours: std::ops::Range<i64>) -> Self {
        blank(&mut self.weather, days, hours);
        self
    }

    fn set(mut self, row: usize, value: f64) -> Self {
        self.meter[row].value = Some(value);
        self
    }

    fn estimate(mut self, rows: impl IntoIterator<Item = usize>) -> Self {
        self.estimated.extend(rows);
        self
    }

    fn answer(self, mode: Mode) -> Answer {
        let question = Question {
            method: self.method,
            mode,
            commodity: self.commodity,
            unit: EnergyUnit::KilowattHour,
            zone: Some(TimeZone::UTC),
            blackout_start: date(2025, 1, 1),
            blackout_end: Some(date(2025, 1, 11)),
            drivers: None,
            site: self.site,
            meter: MeterSettings::default(),
        };
        let weather = Weather { series: Series::new(self.weather).unwrap(), unit: TemperatureUnit::Fahrenheit };
        let mut remarks = vec![Remark::default(); self.meter.len()];
        self.estimated.iter().for_each(|row| remarks[*row].origin = Origin::Estimated);
        let mut meter = Series::remarked(self.meter, &remarks).unwrap();
        if !self.billed.is_empty() {
            meter = meter.billed(&Series::new(self.billed).unwrap());
        }
        Answer::to(&question, &meter, &weather).unwrap()
    }

    fn findings(self) -> (Status, Vec<Found>) {
        let answer = self.answer(Mode::Strict).assessment;
        (answer.status, answer.sufficiency.findings)
    }
}

/// Blanks these hours of each of these days.
fn blank(rows: &mut [Row], days: std::ops::Range<i64>, hours: std::ops::Range<i64>) {
    for row in rows {
        let hour = (row.at - FIRST).div_euclid(HOUR);
        if days.contains(&hour.div_euclid(24)) && hours.contains(&hour.rem_euclid(24)) {
            row.value = None;
        }
    }
}

#[test]
fn good_rows_have_nothing_to_be_said() {
    for case in [daily(), fine(), bills(monthly()), case(Method::CaltrackHourly, 1)] {
        let (method, (status, findings)) = (case.method, case.findings());
        assert_eq!((status, findings.as_slice()), (Status::Qualified, [].as_slice()), "{method}");
    }
}

#[test]
fn each_rule_has_data_that_fail_it() {
    use Severity::{Disqualification, Warning};
    let all = 0..24;
    let site = |site| Case { site, ..daily() };
    let hourly = || case(Method::CaltrackHourly, 1);
    let mut spread = fine();
    for day in (0..365).step_by(9) {
        spread = spread.blank(day..day + 1, 0..13);
    }
    let with_a_long_one =
        [0, 35, 65, 101, 130, 160, 190, 220, 250, 280, 310, 337, 365].into_iter().chain((0..=12).map(|bill| AFTER + 30 * bill));
    let mut noisy = daily();
    for (index, row) in noisy.meter.iter_mut().enumerate() {
        row.value = row.value.map(|value| value + if index % 7 == 0 { 4_000.0 } else { 0.0 });
    }
    let climate = Site { other_climate_zone: true, ..Site::default() };
    // From the ninth bill before the intervention on, of which the first is five days long and the others go on.
    let short_after: Vec<i64> =
        (0..=12).map(|bill| 5 + 30 * bill).chain([AFTER, AFTER + 5]).chain((1..=11).map(|bill| AFTER + 5 + 30 * bill)).collect();
    let long_after: Vec<i64> = (0..=12).map(|bill| 5 + 30 * bill).chain((0..=6).map(|bill| AFTER + 45 * bill)).collect();
    let billed = Case { billed: bills(monthly()).meter, ..daily() };
    let overcharged = {
        let mut case = Case::clone(&billed);
        case.billed[3].value = case.billed[3].value.map(|value| value * 1.02);
        case
    };
    assert_eq!(billed.findings().1.as_slice(), [].as_slice(), "bills of the very same energy");
    let zeros = |commodity| {
        let mut case = Case { commodity, ..daily() };
        case.meter[40..80].iter_mut().for_each(|row| row.value = Some(0.0));
        case
    };
    assert!(zeros(Commodity::Gas).findings().1.iter().all(|found| found.name != "zero_use"), "gas may be zero");
    let cases: Vec<(&str, Case, f64, Severity, &[&str])> = vec![
        ("opendsm", daily().blank(0..40, all.clone()), 325.0, Disqualification, &["baseline_length", "energy_coverage", "boundary_gap"]),
        ("2.2.1.4", zeros(Commodity::Electricity), 40.0, Disqualification, &["zero_use", "energy_coverage", "joint_coverage"]),
        ("opendsm", daily().set(30, -400.0), 1.0, Warning, &["low_use", "negative_use"]),
        ("2.2.3.1", bills(monthly()).estimate([4]), 1.0, Warning, &["estimated_reads"]),
        (
            "2.2.1.2",
            bills(monthly()).estimate([2, 4]),
            300.0 / 360.0,
            Disqualification,
            &["too_many_days_with_missing_meter_data", "estimated_reads"],
        ),
        ("2.2.3.1", daily().estimate([30, 31, 200]), 3.0, Warning, &["estimated_reads"]),
        ("house", daily().estimate(400..430), 30.0 / 365.0, Disqualification, &["estimated_reporting_energy"]),
        ("cleaning 9", overcharged, 0.02, Warning, &["sum_check"]),
        ("2.2.3.2", bills(monthly()).blank_weather(40..60, 0..10), 1.0, Warning, &["thin_bills_of_weather"]),
        ("2.2.4.1", hourly().blank_weather(60..61, 4..9), 5.0, Warning, &["temperatures_interpolated"]),
        ("3.5.5", bills(short_after), 1.0, Warning, &["short_reporting_bills"]),
        ("3.5.5", bills(long_after), 6.0, Warning, &["long_reporting_bills"]),
        ("2.4", site(climate), 1.0, Warning, &["station_in_another_climate_zone"]),
        ("2.2.1.1", daily().blank(0..5, all.clone()), 5.0, Warning, &["boundary_gap", "monthly_coverage"]),
        ("2.2.1.2", daily().blank(100..140, all.clone()), 325.0 / 365.0, Disqualification, &["joint_coverage", "energy_coverage"]),
        ("2.2.1.2", daily().blank_weather(100..140, all.clone()), 325.0 / 365.0, Disqualification, &["joint_coverage", "weather_coverage"]),
        ("2.2.1.2", daily().blank(40..46, all.clone()), 23.0 / 29.0, Warning, &["monthly_coverage", "monthly_energy_coverage"]),
        ("2.2.1.2", daily().blank_weather(40..50, 0..9), 0.87, Warning, &["monthly_weather_coverage", "longest_temperature_gap"]),
        ("2.2.1.2", hourly().blank(40..44, all.clone()), 25.0 / 29.0, Disqualification, &["monthly_energy_coverage"]),
        ("2.2.1.2", hourly().blank_weather(40..44, all.clone()), 25.0 / 29.0, Disqualification, &["monthly_weather_coverage"]),
        ("2.2.2.1", spread, 41.0, Disqualification, &["thin_days_of_energy"]),
        ("2.2.2.1", fine().blank(60..61, 0..13), 1.0, Warning, &["thin_days_of_energy"]),
        ("2.2.2.3", daily().blank_weather(60..61, 0..12), 1.0, Warning, &["thin_days_of_weather"]),
        ("2.2.4.1", hourly().blank_weather(60..61, 4..11), 7.0, Warning, &["longest_temperature_gap"]),
        ("2.2.3.4", bills(monthly().into_iter().chain([345]).collect::<BTreeSet<_>>()), 2.0, Warning, &["short_bills"]),
        ("2.2.3.5", bills(with_a_long_one), 1.0, Warning, &["long_bills"]),
        ("house", bills(monthly().into_iter().filter(|day| !(200..350).contains(day))), 8.0, Disqualification, &["too_few_bills"]),
        ("2.2.6", site(Site { net_metering_changed: true, ..Site::default() }), 1.0, Disqualification, &["net_metering_changed"]),
        ("2.2.7", site(Site { electric_vehicle_installed: true, ..Site::default() }), 1.0, Warning, &["electric_vehicle_installed"]),
        ("2.4", site(Site { station_km: Some(201.0), ..Site::default() }), 201.0, Warning, &["station_too_far"]),
        ("2.3.5", daily().set(30, -5.0), 1.0, Warning, &["negative_use"]),
        ("2.3.5", Case { commodity: Commodity::Gas, ..daily().set(30, -5.0) }, 1.0, Disqualification, &["negative_use"]),
        ("2.3.6", daily().set(30, 150.0), 1.0, Warning, &["extreme_use"]),
        ("3.5", daily().blank(AFTER..AFTER + 60, all), 305.0 / 365.0, Warning, &["reporting_coverage"]),
        ("opendsm", noisy, 2.0, Disqualification, &["fit_too_loose"]),
    ];
    for (clause, case, measured, severity, names) in cases {
        let (status, findings) = case.findings();
        let name = names[0];
        let found = findings.iter().find(|found| found.name == name).unwrap_or_else(|| panic!("{name} is not among {findings:#?}"));
        assert_eq!(found.clause, clause, "{name}");
        if name == "thin_days_of_energy" && measured > 40.0 {
            // So many thin days are too few days.
            assert!((found.measured - measured).abs() < 1.5 && status == Status::Disqualified, "{found:?}");
            continue;
        }
        // What makes too little of the baseline is a warning that stands beside the rule which forbids it.
        let own = if name == "zero_use" { Warning } else { severity };
        assert_eq!(found.severity, own, "{name}");
        assert!((found.measured - measured).abs() <= 0.3 * measured.abs(), "{found:?} and not {measured}");
        assert!(found.message.contains(clause) && found.message.contains("allowed"), "{found:?}");
        for name in names {
            assert!(findings.iter().any(|found| found.name == *name), "{name} is not among {findings:#?}");
        }
        assert!(findings.iter().all(|found| CRITERIA.iter().all(|rule| rule.name != found.name || rule.bound == found.bound)), "{name}");
        let forbidden = findings.iter().any(|found| found.severity == Disqualification);
        assert_eq!(status == Status::Disqualified, forbidden, "{name}: {status:?}, {findings:#?}");
        assert_eq!(forbidden, severity == Disqualification, "{name}: {findings:#?}");
    }
}

/// Bills that nobody read are joined with the next one that somebody did: all their energy is carried forward, of which the
/// published program loses the first of two. A joined bill of more than 70 days takes no part.
#[test]
fn the_energy_of_estimated_reads_is_carried_forward() {
    let step = |answer: &Answer| answer.inputs.cleaning.last().unwrap().clone();
    let plain = bills(monthly()).answer(Mode::Strict);
    let two = bills(monthly()).estimate([20, 21]).answer(Mode::Strict);
    let (before, after) = (step(&plain), step(&two));
    assert_eq!((before.step, before.name.as_str(), before.found.as_str()), (10, "estimated reads", ""));
    // Three bills of thirty days are longer than seventy.
    assert_eq!(after.found, "bills that nobody read for more than 70 days, which are missing with the one after them: 2");
    assert_eq!(after.rows, before.rows - 3);
    for mode in Mode::ALL {
        // Bills of twenty days: two that nobody read and one that somebody did are sixty.
        let starts = || (0..=12).map(|bill| 5 + 30 * bill).chain((0..=18).map(|bill| AFTER + 20 * bill));
        let (read, carried) = (bills(starts()).answer(mode), bills(starts()).estimate([16, 17]).answer(mode));
        assert_eq!(step(&carried).found, "bills that nobody read, joined with the next that somebody did: 2");
        assert!((step(&carried).energy - step(&read).energy).abs() < 1e-9, "no energy is lost");
        let observed = |answer: &Answer| answer.assessment.avoided.as_ref().unwrap().observed;
        assert!((observed(&carried) - observed(&read)).abs() < 1e-6, "{mode:?}");
        assert_ne!(carried.digest, read.digest);
    }
}

/// A short bill after the intervention gives its energy to the next one, so that none of it is lost.
#[test]
fn short_reporting_bills_are_joined_and_nothing_is_lost() {
    let starts = (0..=12).map(|bill| 5 + 30 * bill).chain([AFTER, AFTER + 5]).chain((1..=11).map(|bill| AFTER + 5 + 30 * bill));
    let case = bills(starts);
    let sum: f64 = case.meter.iter().filter(|row| row.at >= FIRST + AFTER * DAY).filter_map(|row| row.value).sum();
    let avoided = case.answer(Mode::Strict).assessment.avoided.unwrap();
    assert!((avoided.observed - sum).abs() < 1e-6 && avoided.rows == 11, "{avoided:?} and not {sum}");
    assert_eq!(avoided.energy_masked, Some(0.0));
}

/// What cannot be compared is told as days and as energy.
#[test]
fn the_share_of_the_energy_that_is_masked_is_told() {
    let avoided = daily().blank_weather(AFTER..AFTER + 40, 0..24).answer(Mode::Strict).assessment.avoided.unwrap();
    assert!((avoided.coverage - 325.0 / 365.0).abs() < 1e-9 && (0.05..0.20).contains(&avoided.energy_masked.unwrap()), "{avoided:?}");
}

/// Every gate is tried by its name, in both modes and for every kind of rows.
#[test]
fn the_gates_of_protocols_are_tried_by_name() {
    for case in [daily(), bills(monthly()), case(Method::CaltrackHourly, 1)] {
        for mode in Mode::ALL {
            let gates = case.clone().answer(mode).assessment.gates;
            assert_eq!(gates.len(), negawatt_calculator::uncertainty::Gate::ALL.len(), "{} {mode:?}", case.method);
            let text = serde_json::to_value(&gates).unwrap();
            assert_eq!((&text[0]["gate"], &text[6]["gate"]), (&"guideline14_cv".into(), &"ipmvp".into()));
            assert!((gates[0].limit - 0.25).abs() < 1e-12, "a year of post data has twelve months");
        }
    }
}

/// Weather of every ten minutes counts as the line between its values, minute by minute.
#[test]
fn weather_of_minutes_becomes_hours_by_its_minutes() {
    let mut case = daily();
    let hourly = case.clone().answer(Mode::Strict).assessment.avoided.unwrap();
    // Straight lines within each hour, and a jump at its end that the next value makes.
    case.weather = (0..=DAYS * 24 * 6)
        .map(|ten| Row { at: FIRST + ten * 600, value: Some(degrees(ten / 6) + f64::from(i32::try_from(ten % 6).unwrap()) / 24.0) })
        .collect();
    let fine = case.answer(Mode::Strict).assessment.avoided.unwrap();
    assert!((fine.counterfactual - hourly.counterfactual).abs() < 0.02 * hourly.counterfactual, "{fine:?} and {hourly:?}");
    assert!((fine.counterfactual - hourly.counterfactual).abs() > 1e-9, "minutes are looked at");
}

/// The published program's mode says what it says, and nothing of ours.
#[test]
fn the_rules_are_listed_once_for_each_severity() {
    let names: BTreeSet<(&str, bool)> = CRITERIA.iter().map(|rule| (rule.name, rule.severity == Severity::Disqualification)).collect();
    assert_eq!(names.len() + 1, CRITERIA.len(), "the fit of days and of hours have one name");
    assert!(CRITERIA.iter().all(|rule| !rule.clause.is_empty() && rule.limit >= 0.0 && rule.subject.len() > 10));
}
