//! What a plan promises, over every built-in profile.

use proptest::prelude::*;

use super::*;
use crate::{builtin, find};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn plans_cover_every_point_within_the_limits(
        which in 0..builtin().len(),
        picks in proptest::collection::vec(any::<bool>(), 40),
        limit in 12_u16..=125,
        gap in 0_u16..60,
    ) {
        let profile = &builtin()[which];
        let chosen: Vec<&str> = profile.points().iter().zip(&picks).filter(|(_, pick)| **pick).map(|(point, _)| point.id.as_str()).collect();
        prop_assume!(!chosen.is_empty());
        let limit = limit.min(profile.max_registers());
        match plan(profile, &chosen, limit, gap) {
            Ok(plan) => {
                check_plan(profile, &chosen, &plan, limit);
                check_plan(profile, &chosen, plan.without_gaps(), limit);
            }
            Err(PlanError::TooWide { span, .. }) => prop_assert!(span > u32::from(limit)),
            // Only where the widest value leaves no room for two more lengths.
            Err(err) => prop_assert!(widest(profile) + 2 * u32::from(profile.align()) > u32::from(limit), "{err}"),
        }
    }

    /// Sharing reads never costs more bus time than asking point by point, on any line.
    #[test]
    fn no_plan_costs_more_than_the_naive_one(
        which in 0..builtin().len(),
        picks in proptest::collection::vec(any::<bool>(), 40),
        baud in prop::sample::select(vec![0_u32, 1200, 2400, 9600, 19_200, 38_400, 115_200]),
        wait_ms in 0_u32..200,
    ) {
        let profile = &builtin()[which];
        let chosen: Vec<&str> = profile.points().iter().zip(&picks).filter(|(_, pick)| **pick).map(|(point, _)| point.id.as_str()).collect();
        prop_assume!(!chosen.is_empty());
        let line = if baud == 0 { Line::tcp(wait_ms) } else { Line::serial(baud, 10, wait_ms) };
        let plan = profile.plan_on(&chosen, line).unwrap();
        check_plan(profile, &chosen, &plan, profile.max_registers());
        let points: Vec<&Point> = profile.chosen(&chosen).unwrap();
        let one_by_one: Vec<BlockRequest> = points.iter().map(|point| group::block(&[point])).collect();
        let bare: u64 = one_by_one.iter().map(|block| line.cost_us(block.count)).sum();
        let rules = Rules { profile, max_registers: profile.max_registers(), gap: profile.bridge(), line };
        // The naive reads too must differ in length from their neighbours.
        let naive = sendable(one_by_one, &rules).map_or(u64::MAX, |naive| naive.cost_us(&line));
        prop_assert!(naive >= bare);
        prop_assert!(plan.cost_us(&line) <= naive, "{} against {naive}: {plan:?}", plan.cost_us(&line));
    }
}

fn widest(profile: &Profile) -> u32 {
    profile.points().iter().map(|point| point.span().1 - point.span().0).max().unwrap_or(0)
}

/// Asserts everything a plan promises.
fn check_plan(profile: &Profile, chosen: &[&str], plan: &ReadPlan, limit: u16) {
    let mut covered: Vec<&str> = plan.blocks.iter().flat_map(|block| block.points.iter().map(|point| point.id.as_str())).collect();
    covered.sort_unstable();
    let mut wanted = chosen.to_vec();
    wanted.sort_unstable();
    assert_eq!(covered, wanted);
    for cycle in 0..2 {
        for block in plan.cycle(cycle) {
            assert!((1..=limit).contains(&block.count), "{block:?}");
            assert!(u32::from(block.address) + u32::from(block.count) <= 0x1_0000);
            let answer: Vec<u16> = (0..block.count).map(|offset| block.address + offset).collect();
            for point in &block.points {
                let words = block.words(point, &answer).expect("the block covers its points");
                assert_eq!(words.first(), Some(&point.address));
                assert_eq!(words.len(), point.word_count());
            }
            let range = block.address..=block.address + (block.count - 1);
            assert!(!profile.keep_out().iter().any(|out| range.contains(out)), "{block:?} runs over a forbidden register");
        }
    }
    for block in &plan.without_gaps().blocks {
        assert!(!block.bridges_gap() || plan.without_gaps() == plan, "{block:?} bridges a gap still");
    }
    let lengths = |cycle: u64| plan.cycle(cycle).iter().map(|block| block.count);
    let round: Vec<u16> = lengths(0).chain(lengths(1)).chain(lengths(2)).collect();
    assert!(round.windows(2).all(|pair| pair[0] != pair[1]), "neighbouring reads of {} share a length: {round:?}", profile.id());
}

#[test]
fn every_profile_has_a_plan_by_its_own_limits() {
    for profile in builtin() {
        let all: Vec<&str> = profile.points().iter().map(|point| point.id.as_str()).collect();
        check_plan(profile, &all, &profile.plan(&[]).unwrap(), profile.max_registers());
    }
}

#[test]
fn an_sdm630_takes_two_requests_for_the_essentials() {
    let plan = find("eastron-sdm630").unwrap().plan(&["v1", "v2", "v3", "i1", "i2", "i3", "p", "pf", "f", "e_imp", "e_exp"]).unwrap();
    let blocks: Vec<(u16, u16)> = plan.blocks.iter().map(|block| (block.address, block.count)).collect();
    assert_eq!(blocks, [(0, 12), (52, 24)]);
}

#[test]
fn a_single_block_alternates_between_two_lengths() {
    let plan = find("xy-md02").unwrap().plan(&[]).unwrap();
    let read = |cycle| (plan.cycle(cycle)[0].address, plan.cycle(cycle)[0].count);
    assert_eq!((read(0), read(1), read(2)), ((1, 2), (1, 3), (1, 2)));
}

#[test]
fn a_scale_factor_is_read_with_its_value() {
    let profile = find("sunspec-meter-203").unwrap();
    let plan = profile.plan(&["e_imp"]).unwrap();
    let [block] = plan.blocks.as_slice() else { panic!("one block expected") };
    assert_eq!((block.address, block.count), (40_116, 9));
    let mut answer = vec![0_u16; 9];
    (answer[1], answer[8]) = (1234, 2);
    let (_, words, measured) = block.decode(&answer).next().unwrap();
    assert_eq!(*words, [0, 1234, 2]);
    assert_eq!(measured.unwrap().decimal_text(), "123400");
}

#[test]
fn a_gap_is_bridged_where_that_is_cheaper() {
    let profile = find("eastron-sdm630").unwrap();
    let wanted = ["p1", "pf1"];
    let blocks = |line| -> Vec<(u16, u16)> {
        let plan = profile.plan_on(&wanted, line).unwrap();
        plan.blocks.iter().map(|block| (block.address, block.count)).collect()
    };
    // Sixteen unwanted registers take 33 ms at 9600 baud and 267 ms at 1200; a further request takes 71 ms and 217 ms.
    assert_eq!(blocks(Line::serial(9600, 10, 50)), [(12, 20)]);
    assert_eq!(blocks(Line::serial(1200, 10, 50)), [(12, 2), (30, 4)]);
    assert_eq!(blocks(Line::tcp(0)), [(12, 20)]);
}

#[test]
fn a_refused_gap_has_another_plan() {
    let profile = find("eastron-sdm630").unwrap();
    let plan = profile.plan_on(&["v1", "p1", "p2"], Line::serial(9600, 10, 50)).unwrap();
    assert!(plan.blocks[0].bridges_gap());
    let careful: Vec<(u16, u16)> = plan.without_gaps().blocks.iter().map(|block| (block.address, block.count)).collect();
    assert_eq!(careful, [(0, 2), (12, 4)]);
    assert_eq!(plan.without_gaps().without_gaps(), plan.without_gaps());
    let close = profile.plan(&["v1", "v2"]).unwrap();
    assert!(!close.blocks[0].bridges_gap());
    assert_eq!(close.without_gaps(), &close);
}

#[test]
fn points_come_in_two_groups() {
    let text = find("eastron-sdm120").unwrap().text().replace("id = \"e_sum\",", "id = \"e_sum\", group = \"slow\",");
    let profile = Profile::parse(&text).unwrap();
    let line = profile.factory_line();
    let ids = |plan: &ReadPlan| plan.blocks.iter().flat_map(|block| block.points.iter().map(|point| point.id.clone())).collect::<Vec<_>>();
    assert_eq!(ids(&profile.plan_group(&[], Group::Slow, line).unwrap().unwrap()), ["e_sum"]);
    assert_eq!(profile.plan_group(&["v1"], Group::Slow, line).unwrap(), None);
    assert!(!ids(&profile.plan_group(&[], Group::Fast, line).unwrap().unwrap()).contains(&"e_sum".to_owned()));
    assert!(profile.plan_group(&["nonsense"], Group::Fast, line).is_err());
    assert_eq!(profile.hash(), find("eastron-sdm120").unwrap().hash(), "how often a point is read does not change what it means");
}
