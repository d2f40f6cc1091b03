use super::*;

fn meter(role: Role, stratum: u32, avoided_wh: f64, counterfactual_wh: f64, half_width_wh: f64) -> Compared {
    Compared { member: Member { avoided_wh, half_width_wh, counterfactual_wh, station: 0 }, role, stratum }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found} instead of {expected}");
}

/// By hand: the comparison group used 5 % less, so that of the 20 % of the treated 15 % are the project's.
#[test]
fn what_happened_to_everybody_is_taken_off() {
    use Role::{Comparison, Treated};
    let meters = [
        meter(Treated, 0, 20.0, 100.0, 3.0),
        meter(Treated, 0, 40.0, 200.0, 4.0),
        meter(Comparison, 0, 2.0, 100.0, 0.0),
        meter(Comparison, 0, 8.0, 100.0, 0.0),
    ];
    let found = differences(&meters, Common::NOTHING, 0.9).unwrap();
    let stratum = found.strata[0];
    close(stratum.drift, 0.05);
    close(found.gross_wh, 60.0);
    close(found.net_wh, 45.0);
    // The comparison meters are 3 off on either side: √(2/1·18)/200 of 300, at t = 6.3138 with one degree of freedom.
    close(stratum.sampling_wh, quantile(0.95, 1.0) * 300.0 / 200.0 * 6.0);
    close(found.independent_wh, (0.95_f64.powi(2) * 25.0 + stratum.sampling_wh.powi(2)).sqrt());
    assert_eq!((stratum.treated, stratum.comparison, found.uncompared), (2, 2, 0));
}

#[test]
fn a_shared_sky_is_taken_away_again_by_the_comparison_group() {
    let mut meters: Vec<Compared> = (0..50).map(|_| meter(Role::Treated, 0, 10.0, 100.0, 5.0)).collect();
    meters.extend((0..50).map(|_| meter(Role::Comparison, 0, 0.0, 100.0, 5.0)));
    let alone = differences(&meters, Common::NOTHING, 0.9).unwrap();
    let together = differences(&meters, Common { station: 1.0, ..Common::NOTHING }, 0.9).unwrap();
    close(alone.net_wh, 500.0);
    close(alone.independent_wh, 5.0 * 100.0_f64.sqrt());
    assert!(together.shared_wh < 1e-6, "{}", together.shared_wh);
    // Without the comparison group the same meters would err by all of it.
    let members: Vec<Member> = meters.iter().filter(|meter| meter.role == Role::Treated).map(|meter| meter.member).collect();
    close(crate::uncertainty::portfolio(members.iter().copied(), Common { station: 1.0, ..Common::NOTHING }).unwrap().shared_wh, 250.0);
}

/// Of errors that are shared wholly nothing is left but how the comparison meters differ among themselves.
#[test]
fn what_the_comparison_meters_differ_by_is_never_taken_away() {
    use Role::{Comparison, Treated};
    let meters = [
        meter(Treated, 0, 20.0, 100.0, 30.0),
        meter(Comparison, 0, 4.0, 100.0, 30.0),
        meter(Comparison, 0, 5.0, 100.0, 30.0),
        meter(Comparison, 0, 6.0, 100.0, 30.0),
    ];
    let found = differences(&meters, Common { station: 1.0, ..Common::NOTHING }, 0.9).unwrap();
    close(found.shared_wh, found.strata[0].sampling_wh);
    close(found.strata[0].sampling_wh, quantile(0.95, 2.0) * (3.0 / 2.0 * 2.0_f64).sqrt() / 3.0);
    assert!(found.independent_wh > 30.0);
}

#[test]
fn strata_are_compared_with_their_like_and_add_up() {
    use Role::{Comparison, Treated};
    let shop = [meter(Treated, 7, 10.0, 100.0, 1.0), meter(Comparison, 7, 1.0, 50.0, 1.0), meter(Comparison, 7, 3.0, 50.0, 1.0)];
    let office = [meter(Treated, 2, 10.0, 100.0, 2.0), meter(Comparison, 2, -10.0, 100.0, 1.0), meter(Comparison, 2, -10.0, 100.0, 1.0)];
    let alone = [meter(Treated, 9, 99.0, 100.0, 1.0), meter(Comparison, 9, 0.0, 100.0, 1.0)];
    let all: Vec<Compared> = shop.iter().chain(&office).chain(&alone).copied().collect();
    let found = differences(&all, Common::NOTHING, 0.9).unwrap();
    assert_eq!(found.strata.iter().map(|stratum| stratum.stratum).collect::<Vec<_>>(), [2, 7]);
    close(found.strata[0].net_wh, 20.0);
    close(found.strata[1].net_wh, 6.0);
    close(found.net_wh, 26.0);
    assert_eq!(found.uncompared, 1);
    let squares: f64 = found.strata.iter().map(|stratum| stratum.independent_wh.powi(2)).sum();
    close(found.independent_wh, squares.sqrt());
}

#[test]
fn without_a_comparison_group_there_is_no_difference() {
    let treated = [meter(Role::Treated, 0, 1.0, 10.0, 1.0)];
    assert_eq!(differences(&treated, Common::NOTHING, 0.9), Err(DifferenceError::NoComparison));
    let shares = Common { station: 2.0, ..Common::NOTHING };
    assert!(matches!(differences(&treated, shares, 0.9), Err(DifferenceError::Common(_))));
}

/// Repeated draws of a comparison group: the stated interval holds the truth about as often as it says.
#[test]
fn the_interval_of_the_net_covers_the_truth() {
    use crate::uncertainty::Draws;
    let mut draws = Draws::new(5);
    // A sum of twelve uniform draws is nearly normal.
    let mut normal = || (0..12).map(|_| draws.below(1_000_001) as f64 / 1e6).sum::<f64>() - 6.0;
    let (runs, truth) = (2_000, 30.0 * 100.0 * 0.10);
    let held = (0..runs)
        .filter(|_| {
            let mut meters = Vec::new();
            for index in 0..60 {
                // Everybody used 4 % less; meters differ in that by 3 %, and baselines err by 2 % (1.645 of them is the half-width).
                let drift = 4.0 + 3.0 * normal() + 2.0 * normal();
                let role = if index < 30 { Role::Treated } else { Role::Comparison };
                // What the treated meters did beside the project is theirs and no error; what their baselines err is.
                let avoided = if index < 30 { 10.0 + 4.0 + 2.0 * normal() } else { drift };
                meters.push(meter(role, 0, avoided, 100.0, 1.645 * 2.0));
            }
            let found = differences(&meters, Common::NOTHING, 0.9).unwrap();
            (found.net_wh - truth).abs() <= found.independent_wh
        })
        .count();
    let share = held as f64 / f64::from(runs);
    assert!((0.88..=0.94).contains(&share), "{share}");
}
