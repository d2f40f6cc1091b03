//! How a question about savings is asked on the command line.

use std::path::{Path, PathBuf};

use calculator::assessment::{Answer, AssessError, Method, Mode, Question, Series, Source, Weather};
use calculator::baseline::{Commodity, EnergyUnit};
use clap::ValueEnum;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::input::{self, Refused};
use crate::cli::Output;

/// A meter, a weather station, an intervention, and by whose rules.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The meter's rows: Parquet or CSV with `start,value`; the last row closes the period.
    #[arg(long, value_name = "FILE")]
    pub(super) meter: PathBuf,
    /// The weather's rows: Parquet or CSV with `t,temp_f` or `t,temp_c`, hourly or finer.
    #[arg(long, value_name = "FILE")]
    pub(super) temperature: PathBuf,
    /// What the meter measures.
    #[arg(long, value_enum)]
    pub(super) commodity: What,
    /// The unit of the meter's rows and of the answer: Wh, kWh, MWh, therm, MJ, GJ, kBtu, MMBtu, kWh_th or m3.
    #[arg(long)]
    pub(super) unit: Option<String>,
    /// The facility's time zone, such as America/Chicago; needed unless the rows are days that begin at midnight UTC.
    #[arg(long)]
    pub(super) zone: Option<String>,
    /// The day on which the intervention begins; the baseline is the 365 days before it.
    #[arg(long, value_name = "DATE")]
    pub(super) blackout_start: Date,
    /// The first day after the intervention; the 365 days from it are compared with the baseline.
    #[arg(long, value_name = "DATE")]
    pub(super) blackout_end: Option<Date>,
    /// How the baseline is modelled.
    #[arg(long, value_enum, default_value_t = How::CaltrackDaily)]
    pub(super) method: How,
    /// By whose rules: those of the published program, or those that we bill by.
    #[arg(long, value_enum, default_value_t = Rules::Compatible)]
    pub(super) mode: Rules,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    Electricity,
    Gas,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    CaltrackDaily,
    CaltrackBilling,
    CaltrackHourly,
    Towt,
    ChangePoint,
    Best,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Rules {
    Compatible,
    Strict,
}

impl From<What> for Commodity {
    fn from(what: What) -> Self {
        match what {
            What::Electricity => Self::Electricity,
            What::Gas => Self::Gas,
        }
    }
}

impl From<How> for Method {
    fn from(how: How) -> Self {
        match how {
            How::CaltrackDaily => Self::CaltrackDaily,
            How::CaltrackBilling => Self::CaltrackBilling,
            How::CaltrackHourly => Self::CaltrackHourly,
            How::Towt => Self::Towt,
            How::ChangePoint => Self::ChangePoint,
            How::Best => Self::Best,
        }
    }
}

impl From<Rules> for Mode {
    fn from(rules: Rules) -> Self {
        match rules {
            Rules::Compatible => Self::Compatible,
            Rules::Strict => Self::Strict,
        }
    }
}

/// A question with the rows that answer it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) meter: Series,
    pub(super) weather: Weather,
}

impl Args {
    /// Reads what the answer needs.
    pub(super) fn ask(&self) -> Result<Asked, Refused> {
        let unit = self.unit()?;
        let zone = self.zone.as_deref().map(|name| zone(name, &self.meter)).transpose()?;
        let meter = input::meter(&self.meter, zone.as_ref())?;
        let weather = input::weather(&self.temperature, zone.as_ref())?;
        let question = Question {
            method: self.method.into(),
            mode: self.mode.into(),
            commodity: self.commodity.into(),
            unit,
            zone,
            blackout_start: self.blackout_start,
            blackout_end: self.blackout_end,
        };
        Ok(Asked { question, meter, weather })
    }

    /// Reads, computes and seals.
    pub(super) fn answer(&self) -> Result<Answer, Refused> {
        let Asked { question, meter, weather } = self.ask()?;
        Answer::to(&question, &meter, &weather).map_err(|err| self.refused(&err))
    }

    /// What candidates are divided by to be in the unit of the meter: strict mode counts in watt-hours.
    pub(super) fn unit_factor(&self) -> Result<f64, Refused> {
        Ok(if self.mode == Rules::Strict { self.unit()?.to_wh(1.0) } else { 1.0 })
    }

    fn refused(&self, err: &AssessError) -> Refused {
        let file = err.file().map(|file| match file {
            Source::Meter => self.meter.clone(),
            Source::Temperature => self.temperature.clone(),
        });
        Refused::data(file, err.row(), err.rule(), daemon::chain(err))
    }

    fn unit(&self) -> Result<EnergyUnit, Refused> {
        let known = || EnergyUnit::ALL.map(EnergyUnit::symbol).join(", ");
        let rule = "cleaning 1: the unit is stated";
        let refused = |message| Refused::usage(Some(self.meter.clone()), rule, message);
        let Some(symbol) = &self.unit else {
            return Err(refused(format!("nothing says the unit of its rows; write --unit with one of: {}", known())));
        };
        EnergyUnit::from_symbol(symbol).ok_or_else(|| refused(format!("the unit `{symbol}` is not known; known are: {}", known())))
    }
}

/// The zone with this name.
pub(super) fn zone(name: &str, meter: &Path) -> Result<TimeZone, Refused> {
    TimeZone::get(name).map_err(|_unknown| {
        let message =
            format!("the zone `{name}` is not known; write a name of the zone database, such as Europe/Berlin or America/Chicago");
        Refused::usage(Some(meter.to_path_buf()), "cleaning 2: the zone is known", message)
    })
}
