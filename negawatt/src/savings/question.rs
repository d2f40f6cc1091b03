//! How a question about savings is asked on the command line.

use std::path::{Path, PathBuf};

use calculator::assessment::{Answer, AssessError, MeterSettings, Method, Mode, Question, Series, Site, Source, Weather};
use calculator::baseline::{Commodity, EnergyUnit};
use calculator::model::cea::{Drivers, Election, Measure};
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::drivers;
use super::input::{self, Refused};
use crate::cli::Output;

/// A meter, a weather station, an intervention, and by whose rules.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The meter's rows: Parquet or CSV with `start,value`; the last row closes the period. A column `quality` or `estimated`
    /// says which values nobody measured, a column `serial` where another meter begins.
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
    #[arg(long, value_parser = methods(), default_value = Method::CaltrackDaily.name())]
    pub(super) method: Method,
    /// By whose rules: those of the published program, or those that we bill by.
    #[arg(long, value_parser = modes(), default_value = Mode::Compatible.name())]
    pub(super) mode: Mode,
    /// The days of a controlled environment: CSV with `date` and a column for each of light_demand, lamp_hours, humidity,
    /// irrigation, production, canopy_area, and `stage` where crops have stages.
    #[arg(long, value_name = "FILE")]
    pub(super) drivers: Option<PathBuf>,
    /// The harvests: CSV with `from,on,marketable_kg`. Each is laid over the days of its cycle, which is the production.
    #[arg(long, value_name = "FILE")]
    pub(super) harvests: Option<PathBuf>,
    /// What the project changes, once for each measure: variables that it moves are refused.
    #[arg(long, value_parser = measures())]
    pub(super) measure: Vec<Measure>,
    /// Pay for energy at the output that was reached, and not at that of the baseline's relation.
    #[arg(long)]
    pub(super) productivity: bool,
    /// What the transformers divide by: the ratio of current times that of voltage.
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    pub(super) multiplier: f64,
    /// The rows are readings of a register of so many digits, and not what was used.
    #[arg(long, value_name = "DIGITS", value_parser = clap::value_parser!(u8).range(1..=15))]
    pub(super) register_digits: Option<u8>,
    /// What the connection carries; a fifth more cannot be energy and is missing.
    #[arg(long, value_name = "KW")]
    pub(super) rated_kw: Option<f64>,
    /// The bills of the same energy, `start,value` in the unit of the meter: sums that differ are said.
    #[arg(long, value_name = "FILE")]
    pub(super) bills: Option<PathBuf>,
    /// The class of the meter's accuracy, percent; sums may differ by as much.
    #[arg(long, value_name = "PERCENT")]
    pub(super) accuracy_class: Option<f64>,
    /// How far the weather station is, km; strict mode flags more than 200.
    #[arg(long, value_name = "KM")]
    pub(super) station_km: Option<f64>,
    /// The weather station lies in another climate zone: strict mode flags it.
    #[arg(long)]
    pub(super) other_climate_zone: bool,
    /// Net metering began, ended or changed in one of the periods: strict mode excludes the facility.
    #[arg(long)]
    pub(super) net_metering_changed: bool,
    /// A charger of vehicles was installed: strict mode flags it.
    #[arg(long)]
    pub(super) ev_installed: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(super) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum What {
    Electricity,
    Gas,
}

/// The methods by the names that the calculator gives them.
pub(super) fn methods() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::ALL.map(Method::name)).try_map(|name| name.parse::<Method>())
}

pub(super) fn modes() -> impl TypedValueParser<Value = Mode> {
    let named = |name: &String| Mode::ALL.into_iter().find(|mode| mode.name() == name);
    PossibleValuesParser::new(Mode::ALL.map(Mode::name)).map(move |name| named(&name).unwrap_or_default())
}

fn measures() -> impl TypedValueParser<Value = Measure> {
    let named = |name: &String| Measure::ALL.into_iter().find(|measure| measure.name() == name);
    PossibleValuesParser::new(Measure::ALL.map(Measure::name)).map(move |name| named(&name).unwrap_or(Measure::Growing))
}

impl From<What> for Commodity {
    fn from(what: What) -> Self {
        match what {
            What::Electricity => Self::Electricity,
            What::Gas => Self::Gas,
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
        let meter = match &self.bills {
            Some(bills) => meter.billed(&input::bills(bills, zone.as_ref())?),
            None => meter,
        };
        let weather = input::weather(&self.temperature, zone.as_ref())?;
        let election = if self.productivity { Election::Productivity } else { Election::EnergyOnly };
        let question = Question {
            method: self.method,
            mode: self.mode,
            commodity: self.commodity.into(),
            unit,
            zone,
            blackout_start: self.blackout_start,
            blackout_end: self.blackout_end,
            drivers: self.explained(election)?,
            meter: self.meter_settings()?,
            site: Site {
                net_metering_changed: self.net_metering_changed,
                electric_vehicle_installed: self.ev_installed,
                station_km: self.station_km,
                other_climate_zone: self.other_climate_zone,
            },
        };
        Ok(Asked { question, meter, weather })
    }

    /// Reads, computes and seals.
    pub(super) fn answer(&self) -> Result<Answer, Refused> {
        self.answered(&self.ask()?)
    }

    /// Computes and seals what was read.
    pub(super) fn answered(&self, Asked { question, meter, weather }: &Asked) -> Result<Answer, Refused> {
        Answer::to(question, meter, weather).map_err(|err| self.refused(&err))
    }

    /// What candidates are divided by to be in the unit of the meter: only the published program's daily rows are in it already.
    pub(super) fn unit_factor(&self) -> Result<f64, Refused> {
        Ok(if self.mode == Mode::Strict || self.method != Method::CaltrackDaily { self.unit()?.to_wh(1.0) } else { 1.0 })
    }

    /// What is known of each day beside the meter.
    fn explained(&self, election: Election) -> Result<Option<Drivers>, Refused> {
        let drivers = self.drivers.as_deref().map(|file| drivers::read(file, &self.measure, election)).transpose()?;
        match &self.harvests {
            Some(file) => drivers::with_harvests(drivers, file, &self.measure, election).map(Some),
            None if drivers.is_none() && (self.productivity || !self.measure.is_empty()) => {
                let message = "--measure and --productivity are about variables; give their days with --drivers or --harvests".to_owned();
                Err(Refused::usage(None, "IPMVP: independent variables are those that the plan declares", message))
            }
            None => Ok(drivers),
        }
    }

    fn refused(&self, err: &AssessError) -> Refused {
        let file = err.file().map(|file| match file {
            Source::Meter => self.meter.clone(),
            Source::Temperature => self.temperature.clone(),
            Source::Drivers => self.drivers.clone().or_else(|| self.harvests.clone()).unwrap_or_default(),
        });
        Refused::data(file, err.row(), err.rule(), daemon::chain(err))
    }

    fn meter_settings(&self) -> Result<MeterSettings, Refused> {
        let settings = MeterSettings {
            multiplier: self.multiplier,
            register_digits: self.register_digits,
            rated_kw: self.rated_kw,
            accuracy_class: self.accuracy_class,
        };
        positive(settings, &self.meter)
    }

    fn unit(&self) -> Result<EnergyUnit, Refused> {
        unit(self.unit.as_deref(), &self.meter)
    }
}

/// Settings by which something can be multiplied and divided.
pub(super) fn positive(settings: MeterSettings, meter: &Path) -> Result<MeterSettings, Refused> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if positive(settings.multiplier) && [settings.rated_kw, settings.accuracy_class].into_iter().flatten().all(positive) {
        return Ok(settings);
    }
    let message = "--multiplier, --rated-kw and --accuracy-class are numbers above zero".to_owned();
    Err(Refused::usage(Some(meter.to_path_buf()), "cleaning 1: every value is a finite number or absent", message))
}

/// The unit with this symbol, which somebody has to say.
pub(super) fn unit(symbol: Option<&str>, meter: &Path) -> Result<EnergyUnit, Refused> {
    let known = || EnergyUnit::ALL.map(EnergyUnit::symbol).join(", ");
    let refused = |message| Refused::usage(Some(meter.to_path_buf()), "cleaning 1: the unit is stated", message);
    let Some(symbol) = symbol else {
        return Err(refused(format!("nothing says the unit of its rows; write --unit with one of: {}", known())));
    };
    EnergyUnit::from_symbol(symbol).ok_or_else(|| refused(format!("the unit `{symbol}` is not known; known are: {}", known())))
}

/// The zone with this name.
pub(super) fn zone(name: &str, meter: &Path) -> Result<TimeZone, Refused> {
    TimeZone::get(name).map_err(|_unknown| {
        let message =
            format!("the zone `{name}` is not known; write a name of the zone database, such as Europe/Berlin or America/Chicago");
        Refused::usage(Some(meter.to_path_buf()), "cleaning 2: the zone is known", message)
    })
}
