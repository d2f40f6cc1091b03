//! Trust and yield: computed where the savings are, frozen with them, and computed again by the audit.

use calculator::model::cea::{Crop, Election, Growth, Harvest, Measure};
use calculator::verification::{Category, Dossier, Facts, Inventory, MeterClock, Past, StaticFactor};
use jiff::ToSpan as _;
use jiff::civil::date;
use units::{Quality, Reason};

use crate::canonical::{canonical_json, sha256_hex};
use crate::error::DeriveError;
use crate::{Bundle, Derived, Inputs, derive, encode, fixture};

/// What people brought together for a baseline in good order.
fn dossier() -> Dossier {
    let lamps = StaticFactor {
        name: "lamps".to_owned(),
        unit: "piece".to_owned(),
        value: 500.0,
        tolerance: 5.0,
        evidence: "a".repeat(64),
        valid_from: date(2025, 1, 1),
        valid_to: None,
        formula: None,
    };
    let facts = Facts {
        meter_class: Some(0.5),
        certificate_expired_months: Some(0.0),
        transformer_ratio_verified: Some(true),
        register_difference: Some(0.001),
        worst_bill_difference: Some(0.004),
        year_bill_difference: Some(0.001),
        clock: Some(MeterClock { zone_known: true, offset_minutes: 0.5, long_days_right: true, lag_stable: Some(true) }),
        unexplained_energy_share: Some(0.0),
        weather_on_site: Some(true),
        inventory_signed: Some(true),
        chain_unbroken: Some(true),
        records_in_time: Some(true),
        auditor_independent: Some(true),
        rerun_identical: Some(true),
        // What rows show is not taken from anybody's word.
        valid_share: Some(0.01),
        ..Facts::default()
    };
    let past = Past { signed_share: 1.0, invoices: 7, disputed: 1 };
    Dossier { facts, inventory: Inventory::try_from(vec![lamps]).unwrap(), past, date: Some(date(2026, 2, 1)), ..Dossier::default() }
}

fn with(change: impl FnOnce(&mut Inputs)) -> Inputs {
    let mut inputs = fixture::inputs(31, 60);
    change(&mut inputs);
    inputs
}

fn text(derived: &Derived) -> String {
    String::from_utf8(canonical_json(&derived.statement).unwrap()).unwrap()
}

#[test]
fn a_statement_without_a_dossier_and_without_harvests_is_the_one_that_it_was() {
    let inputs = fixture::inputs(31, 60);
    let derived = derive(&inputs).unwrap();
    assert_eq!((derived.statement.trust(), derived.statement.yielded(), &derived.standing), (None, None, &None));
    let text = text(&derived);
    assert!(!text.contains("trust") && !text.contains("yield"), "{text}");
    let names: Vec<String> = derived.digests().unwrap().into_keys().collect();
    assert_eq!(names, ["days", "fit", "avoided", "invoice", "postings", "statement"].map(|name| format!("derived/{name}.json")).sorted());
    let head = crate::members::of_inputs(&inputs).unwrap().remove(crate::members::INPUTS).unwrap();
    assert!(!String::from_utf8(head).unwrap().contains("dossier"));
}

/// Names in order, as a map has them.
trait Sorted {
    fn sorted(self) -> Vec<String>;
}

impl<const N: usize> Sorted for [String; N] {
    fn sorted(self) -> Vec<String> {
        let mut names = self.to_vec();
        names.sort();
        names
    }
}

#[test]
fn trust_is_scored_frozen_and_computed_again() {
    let inputs = with(|inputs| inputs.reporting.dossier = Some(Box::new(dossier())));
    let derived = derive(&inputs).unwrap();
    let trust = derived.statement.trust().unwrap();
    assert_eq!((trust.version.as_str(), trust.date, trust.invoices, trust.disputed), ("negawatt.trust/1", date(2026, 2, 1), 7, 1));
    // Thirteen temperatures a day are half of its hours: the weather fails, and holds the score down.
    assert_eq!(trust.failed, ["weather"], "{trust:?}");
    assert!(trust.capped && trust.score_ppm == 400_000, "{trust:?}");
    assert_eq!(trust.parts.iter().map(|part| part.weight_ppm).sum::<u32>(), 1_000_000);
    let completeness = derived.standing.as_ref().unwrap().examined.checks[0].measurements[0].value;
    assert_eq!(completeness, Some(1.0), "what the rows show, whatever the dossier says");

    // Nobody has shown anything: most categories fail, and there is a score of the day all the same.
    let bare = with(|inputs| inputs.reporting.dossier = Some(Box::new(Dossier { date: Some(date(2026, 2, 1)), ..Dossier::default() })));
    let unknown = derive(&bare).unwrap();
    let least = unknown.statement.trust().unwrap();
    assert!(least.score_ppm < trust.score_ppm && least.failed.len() > 5, "{least:?}");
    let undated = with(|inputs| inputs.reporting.dossier = Some(Box::new(Dossier { date: None, ..dossier() })));
    assert_eq!(derive(&undated).unwrap().statement.trust(), None, "no score without a day");

    let bytes = encode(&inputs, &derived).unwrap();
    let bundle = Bundle::decode(bytes.clone()).unwrap();
    assert_eq!(bundle.inputs().unwrap(), inputs);
    let standing = String::from_utf8(bundle.content("derived/trust.json").unwrap().unwrap()).unwrap();
    assert!(standing.contains(r#""category":"bill_reconciliation""#) && standing.contains(r#""judged""#), "{standing}");
    #[cfg(feature = "audit")]
    {
        let verified = crate::audit_bytes(bytes).unwrap();
        assert_eq!(verified.trust.as_ref(), Some(trust));
        assert_eq!(verified.baseline.digest, derived.standing.as_ref().unwrap().digest);
        let shown = verified.to_string();
        assert!(shown.contains("trust 40.00 of 100 on 2026-02-01 by negawatt.trust/1, held down by what fails: data quality"), "{shown}");
        // A bundle with the documents of one dossier and the inputs of another is refused by name.
        let forged = crate::audit_bytes(encode(&bare, &derived).unwrap()).unwrap_err().to_string();
        assert!(forged.starts_with("derived/trust.json at /"), "{forged}");
        let without = with(|_| {});
        let extra = crate::audit_bytes(encode(&without, &derived).unwrap()).unwrap_err().to_string();
        assert!(extra.contains("derived/"), "{extra}");
    }
}

#[test]
fn an_estimated_day_is_no_part_of_a_baseline_and_counts_against_it() {
    let marked = |quality: Quality| {
        let inputs = with(|inputs| {
            inputs.reporting.dossier = Some(Box::new(dossier()));
            for row in &mut inputs.baseline.energy[0].rows[10..13] {
                row.quality = quality;
            }
        });
        let qualified = crate::qualified_baseline(&inputs.facility, &inputs.baseline, &inputs.weather).unwrap();
        let checks = derive(&inputs).unwrap().standing.unwrap().examined.checks;
        let share = checks.iter().flat_map(|check| &check.measurements).find(|found| found.name == "estimated share of the energy");
        (qualified.days().iter().filter(|day| day.use_wh.is_some()).count(), share.and_then(|found| found.value).unwrap())
    };
    assert_eq!(marked(Quality::GOOD), (365, 0.0));
    for (reason, days) in [(Reason::Estimated, 362), (Reason::Edited, 365)] {
        let (found, share) = marked(Quality::uncertain(reason));
        assert!(found == days && share > 0.005 && share < 0.015, "{reason:?} {found} {share}");
    }
}

#[test]
fn the_digest_of_a_baseline_is_the_same_in_every_month() {
    let of = |days: i8| {
        let mut inputs = fixture::inputs(days, 60);
        inputs.reporting.dossier = Some(Box::new(dossier()));
        derive(&inputs).unwrap().standing.unwrap().digest
    };
    assert_eq!(of(31), of(3));
    let mut other = fixture::inputs(3, 60);
    other.baseline.energy[0].rows[5].raw = Some(1);
    other.reporting.dossier = Some(Box::new(dossier()));
    assert_ne!(derive(&other).unwrap().standing.unwrap().digest, of(3));
}

#[test]
fn a_dossier_that_contradicts_itself_gives_no_statement() {
    let observed = calculator::verification::Observed { factor: "screens".to_owned(), value: 1.0, on: date(2025, 3, 1) };
    let inputs = with(|inputs| inputs.reporting.dossier = Some(Box::new(Dossier { observed: vec![observed], ..dossier() })));
    assert!(matches!(derive(&inputs), Err(DeriveError::Dossier(_))));
}

/// Harvests of cycles of thirty days over the baseline and the billed month, each of `kg` and a little more or less.
fn harvests(kg: f64) -> Vec<Harvest> {
    let first = date(2025, 1, 1);
    (0..14_i32)
        .map(|cycle| {
            let from = first.checked_add((cycle * 30).days()).unwrap();
            let marketable_kg = kg * if cycle >= 12 { 1.0 } else { 0.7 + 0.05 * f64::from(cycle * 5 % 12) };
            Harvest { from, on: from.checked_add(29.days()).unwrap(), marketable_kg }
        })
        .collect()
}

fn crop(measure: Measure, election: Election, kg: f64) -> Crop {
    Crop { measures: vec![measure], election, growth: Growth::default(), harvests: harvests(kg) }
}

#[test]
fn yield_is_told_by_the_kilogram_where_produce_may_explain_the_use() {
    let plain = derive(&fixture::inputs(31, 60)).unwrap();
    let inputs = with(|inputs| inputs.reporting.crop = Some(crop(Measure::Lighting, Election::EnergyOnly, 3_000.0)));
    let derived = derive(&inputs).unwrap();
    let savings = derived.statement.savings();
    assert_eq!(savings.method, "controlled-environment/1");
    assert!(derived.driven.as_ref().is_some_and(|fit| fit.coefficients.len() == 1));
    assert_ne!(derived.avoided, plain.avoided, "what would have been used is that of this output");
    let yielded = derived.statement.yielded().unwrap();
    let per_kg = yielded.per_kg.unwrap();
    assert_eq!((yielded.not_claimed.as_ref(), per_kg.avoided_wh), (None, per_kg.expected_wh - per_kg.used_wh));
    let exact = savings.observed_wh.as_wh() * 1_000 / yielded.grown_g;
    assert!((per_kg.used_wh - exact).abs() <= 1 && yielded.grown_g > 2_000_000, "{yielded:?} is not {exact}");
    // A fifth was saved by construction, whatever grew.
    let share = per_kg.avoided_wh * 1_000 / per_kg.expected_wh;
    assert!((185..=215).contains(&share), "{share} per mille");

    let bytes = encode(&inputs, &derived).unwrap();
    assert_eq!(Bundle::decode(bytes.clone()).unwrap().inputs().unwrap(), inputs);
    #[cfg(feature = "audit")]
    {
        let verified = crate::audit_bytes(bytes).unwrap();
        assert_eq!((verified.yielded.as_ref(), verified.method.as_str()), (Some(yielded), "controlled-environment/1"));
        assert!(verified.to_string().contains("Wh a kilogram expected"), "{verified}");
    }
}

/// Category 12 is of the model that is billed: that with produce in it where it may stand there, else that of the weather.
#[test]
fn the_model_that_is_billed_is_the_one_that_is_judged() {
    let judged = |crop: Option<Crop>| {
        let derived = derive(&with(|inputs| {
            inputs.reporting.dossier = Some(Box::new(dossier()));
            inputs.reporting.crop = crop;
        }));
        let standing = derived.unwrap().standing.unwrap();
        let of_model = standing.examined.checks.iter().find(|check| check.category == Category::ModelFit).unwrap();
        of_model.measurements.iter().map(|measured| measured.value.unwrap()).collect::<Vec<_>>()
    };
    let weather = judged(None);
    assert_eq!(judged(Some(crop(Measure::Growing, Election::EnergyOnly, 3_000.0))), weather, "produce must not explain its own measure");
    let driven = judged(Some(crop(Measure::Lighting, Election::EnergyOnly, 3_000.0)));
    assert!(driven.len() == 2 && driven != weather, "{driven:?} and {weather:?}");
}

#[test]
fn a_measure_that_moves_the_yield_claims_none_of_it_unless_productivity_was_elected() {
    let plain = derive(&fixture::inputs(31, 60)).unwrap();
    let growing = |election| derive(&with(|inputs| inputs.reporting.crop = Some(crop(Measure::Growing, election, 3_000.0)))).unwrap();
    let energy_only = growing(Election::EnergyOnly);
    assert_eq!(energy_only.avoided, plain.avoided, "the baseline's own relation to the weather");
    let yielded = energy_only.statement.yielded().unwrap();
    assert!(yielded.per_kg.is_none() && yielded.grown_g > 0, "{yielded:?}");
    assert!(yielded.not_claimed.as_ref().unwrap().contains("the measure Growing moves production"), "{yielded:?}");
    assert!(growing(Election::Productivity).statement.yielded().unwrap().per_kg.is_some());
}

#[test]
fn far_more_produce_than_the_baseline_has_seen_and_produce_nobody_has_weighed_give_no_invoice() {
    let refused = |crop: Crop| derive(&with(|inputs| inputs.reporting.crop = Some(crop))).unwrap_err();
    let mut much = crop(Measure::Lighting, Election::EnergyOnly, 3_000.0);
    for harvest in &mut much.harvests {
        if harvest.on >= date(2026, 1, 1) {
            harvest.marketable_kg *= 6.0;
        }
    }
    let said = refused(much).to_string();
    assert!(said.contains("kg a day grew") && said.contains("agree upon a new baseline"), "{said}");
    let mut early = crop(Measure::Lighting, Election::EnergyOnly, 3_000.0);
    early.harvests.retain(|harvest| harvest.on < date(2026, 1, 15));
    assert!(matches!(refused(early), DeriveError::NotBillable { .. } | DeriveError::Savings(_)));
    let weightless = Crop {
        harvests: vec![Harvest { from: date(2025, 1, 1), on: date(2025, 1, 9), marketable_kg: -1.0 }],
        ..crop(Measure::Lighting, Election::EnergyOnly, 1.0)
    };
    assert!(matches!(refused(weightless), DeriveError::Harvest(_)));
}

/// Frozen: another digest means that statements of today come out otherwise.
#[test]
fn equal_inputs_give_an_equal_statement() {
    let inputs = with(|inputs| {
        inputs.reporting.dossier = Some(Box::new(dossier()));
        inputs.reporting.crop = Some(crop(Measure::Lighting, Election::EnergyOnly, 3_000.0));
    });
    let (one, two) = (derive(&inputs).unwrap(), derive(&inputs).unwrap());
    assert_eq!(one, two);
    insta::assert_snapshot!(sha256_hex(text(&one).as_bytes()), @"42232c4e08b289baa14f9e4a253b89657036ad1a6d65c6b773fc685aceb998e4");
}
