//! Our figures.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use calculator::assessment::{Answer, MeterSettings, Method, Mode, Question, Row, Series, Site, Weather};
use calculator::baseline::{
    Baseline, Commodity, Cut, EnergyDay, EnergyRow, EnergyUnit, Hour, Period, TemperatureDay, TemperatureRow, TemperatureUnit, bills,
    bills_before, hours, qualify,
};
use calculator::model::{Conditions, Observations, Search, fit, fit_by};
use calculator::uncertainty::{CONFIDENCE, DRAWS, HourlyResiduals, hourly_interval};
use collector::file_rows;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long one figure is measured.
const PATIENCE: Duration = Duration::from_secs(2);
const HOURS_OF_A_YEAR: usize = 8_760;
const STARTS: usize = 20;

/// The two files of the sample.
#[derive(Debug)]
pub(crate) struct Files {
    meter: PathBuf,
    temperature: PathBuf,
}

impl Files {
    pub(crate) fn of(fixtures: &Path) -> Self {
        Self { meter: fixtures.join("il-electricity-cdd-hdd-daily.parquet"), temperature: fixtures.join("il_temperature_hourly.parquet") }
    }

    pub(crate) fn temperature(&self) -> &Path {
        &self.temperature
    }

    pub(crate) fn read(&self) -> Outcome<Sample> {
        Ok(Sample { meter: series(&self.meter)?, weather: self.weather()? })
    }

    fn weather(&self) -> Outcome<Weather> {
        Ok(Weather { series: series(&self.temperature)?, unit: TemperatureUnit::Fahrenheit })
    }

    /// From two Parquet files to the sealed answer as text: weather of 19,417 hours, checks, 2,014 candidates, savings, interval.
    pub(crate) fn file_to_result_us(&self) -> Outcome<f64> {
        median_us(|| {
            let sample = self.read()?;
            Ok(serde_json::to_string(&Answer::to(&question(), &sample.meter, &sample.weather)?)?.len())
        })
    }

    /// The same of the meter's file alone, with the hours of its station at hand, read and hashed, as for the meters of a portfolio.
    pub(crate) fn meter_file_to_result_us(&self) -> Outcome<f64> {
        let weather = self.weather()?;
        let digest = weather.series.digest();
        median_us(|| {
            let answer = Answer::beside(&question(), &series(&self.meter)?, &weather, Some(&digest))?;
            Ok(serde_json::to_string(&answer)?.len())
        })
    }

    /// From the start of the program to its end, which is one answer on its standard output.
    pub(crate) fn cold_start_ms(&self, program: &Path) -> Outcome<f64> {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let began = Instant::now();
            let mut command = Command::new(program);
            command.args(["savings", "fit", "--commodity", "electricity", "--unit", "kWh", "--zone", "UTC", "--output", "json"]);
            command.args(["--blackout-start", "2016-12-26", "--blackout-end", "2017-01-04"]);
            command.arg("--meter").arg(&self.meter).arg("--temperature").arg(&self.temperature);
            let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            if !ended.success() {
                return Err(format!("{} ended with {ended}", program.display()).into());
            }
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(times))
    }
}

fn series(file: &Path) -> Outcome<Series> {
    let rows = file_rows(std::fs::read(file)?.into(), None, None)?.rows;
    Ok(Series::new(rows.into_iter().map(|(at, value)| Row { at, value }).collect())?)
}

fn question() -> Question {
    Question {
        method: Method::CaltrackDaily,
        mode: Mode::Compatible,
        commodity: Commodity::Electricity,
        unit: EnergyUnit::KilowattHour,
        zone: Some(TimeZone::UTC),
        blackout_start: date(2016, 12, 26),
        blackout_end: Some(date(2017, 1, 4)),
        drivers: None,
        site: Site::default(),
        meter: MeterSettings::default(),
    }
}

/// Bills of a year: all 2,014 candidates, and the winner again.
pub(crate) fn billing_us(fixtures: &Path) -> Outcome<f64> {
    let (energy, temperatures) = rows(fixtures, "il-electricity-cdd-hdd-billing_monthly")?;
    let all = bills(&energy, &temperatures, &Cut::FromStart)?;
    let before = bills_before(&all, midnight(date(2016, 12, 26))?, 365);
    let fit = |rows| fit_by(Method::CaltrackBilling, Mode::Compatible, Commodity::Electricity, rows);
    median_us(|| Ok(fit(Observations::Bills(before))?.candidates().len()))
}

/// Twelve segments of an hourly year, and the prediction of the next.
pub(crate) fn hourly_us(fixtures: &Path) -> Outcome<f64> {
    let (energy, temperatures) = rows(fixtures, "il-electricity-cdd-hdd-hourly")?;
    let year = |from, to| -> Outcome<Vec<Hour>> { Ok(hours(&energy, 60, &temperatures, &TimeZone::UTC, midnight(from)?, midnight(to)?)?) };
    let (before, after) = (year(date(2015, 12, 27), date(2016, 12, 26))?, year(date(2017, 1, 4), date(2018, 1, 4))?);
    median_us(|| {
        let fitted = fit_by(Method::CaltrackHourly, Mode::Compatible, Commodity::Electricity, Observations::Hours(&before))?;
        Ok(fitted.predict(Conditions::Hours(&after))?.len())
    })
}

fn midnight(day: Date) -> Outcome<Timestamp> {
    Ok(day.to_zoned(TimeZone::UTC)?.timestamp())
}

/// The rows of a compressed table of the fixtures and of the weather.
fn rows(fixtures: &Path, meter: &str) -> Outcome<(Vec<EnergyRow>, Vec<TemperatureRow>)> {
    let table = |name: &str| -> Outcome<Vec<(Timestamp, Option<f64>)>> {
        let mut text = Vec::new();
        GzDecoder::new(File::open(fixtures.join(format!("{name}.csv.gz")))?).read_to_end(&mut text)?;
        let rows = file_rows(text.into(), None, None)?.rows;
        rows.into_iter().map(|(at, value)| Ok((Timestamp::from_second(at)?, value))).collect()
    };
    let unit = EnergyUnit::KilowattHour;
    let energy = table(meter)?.into_iter().map(|(start, value)| EnergyRow { start, value, unit }).collect();
    let unit = TemperatureUnit::Fahrenheit;
    let temperatures = table("il_temperature_hourly")?.into_iter().map(|(at, value)| TemperatureRow { at, value, unit }).collect();
    Ok((energy, temperatures))
}

/// The rows of both files.
#[derive(Debug)]
pub(crate) struct Sample {
    meter: Series,
    weather: Weather,
}

impl Sample {
    pub(crate) fn meter(&self) -> &[Row] {
        self.meter.rows()
    }

    /// All 2,014 candidates of a qualified year, and the winner again from its days.
    pub(crate) fn daily_us(&self) -> Outcome<f64> {
        let baseline = self.baseline()?;
        median_us(|| Ok(fit(&baseline, &Search::compatible())?.candidates.len()))
    }

    fn baseline(&self) -> Outcome<Baseline> {
        let period = Period::before(date(2016, 12, 26), 365)?;
        let first = period.first().to_zoned(TimeZone::UTC)?.timestamp().as_second();
        let on = |rows: &[Row], from: i64| -> Vec<f64> {
            rows.iter().filter(|row| (from..from + 86_400).contains(&row.at)).filter_map(|row| row.value).collect()
        };
        let (mut energy, mut weather) = (Vec::new(), Vec::new());
        for (day, start) in period.dates().zip((0..).map(|day| first + day * 86_400)) {
            let degrees = on(self.weather.series.rows(), start);
            let mean = degrees.iter().sum::<f64>() / f64::from(u32::try_from(degrees.len())?);
            energy.push(EnergyDay::whole(day, on(self.meter.rows(), start).first().map(|kwh| kwh * 1e3)));
            weather.push(TemperatureDay::whole(day, Some(mean)));
        }
        Ok(qualify(&energy, &weather, Commodity::Electricity, period)?)
    }

    /// The block bootstrap of an hourly year by weeks.
    pub(crate) fn bootstrap_ms(&self) -> Outcome<f64> {
        // What the residuals are does not matter for the time it takes: the weather's swing around its mean of the day.
        let rows = self.weather.series.rows().get(..HOURS_OF_A_YEAR).ok_or("the sample has no year of hours")?;
        let residuals: Vec<Option<f64>> = rows.iter().map(|row| row.value.map(|degrees| degrees - 50.0)).collect();
        let weights = vec![1.0; residuals.len()];
        let given =
            HourlyResiduals { residuals_wh: &residuals, weights: &weights, reporting_hours: HOURS_OF_A_YEAR, levels: 3.0, day_levels: 9.0 };
        Ok(median_us(|| Ok(hourly_interval(&given, DRAWS, 1, CONFIDENCE)?.weeks))? / 1e3)
    }
}

/// Seconds of this thread on a processor, which a busy machine does not stretch; the published program is timed alike.
fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0)).as_secs_f64()
}

/// The most memory this process ever had, MiB.
pub(crate) fn resident_mib() -> Option<f64> {
    resident_mib_in("/proc/self/status")
}

/// The most memory that the process of this status ever had, MiB.
pub(crate) fn resident_mib_in(status: &str) -> Option<f64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib / 1024.0 * 10.0).round() / 10.0)
}

/// The median processor time of something, µs.
fn median_us<T>(mut work: impl FnMut() -> Outcome<T>) -> Outcome<f64> {
    let began = Instant::now();
    let mut times = Vec::new();
    while times.len() < 11 || began.elapsed() < PATIENCE {
        let start = cpu_seconds();
        black_box(work()?);
        times.push((cpu_seconds() - start) * 1e6);
    }
    Ok(median(times))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
    (middle * 100.0).round() / 100.0
}
