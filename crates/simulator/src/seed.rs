//! Numbers that look random and never change: a hash of the seed and of what they are for.

/// Mixes a seed with any number of coordinates (SplitMix64, Steele et al. 2014).
pub(crate) fn mix(seed: u64, coordinates: &[u64]) -> u64 {
    coordinates.iter().fold(finish(seed), |state, coordinate| finish(state ^ coordinate.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// A whole number in `-spread..=spread`.
pub(crate) fn wobble(seed: u64, coordinates: &[u64], spread: u32) -> i64 {
    let width = 2 * u64::from(spread) + 1;
    (mix(seed, coordinates) % width).cast_signed() - i64::from(spread)
}

const fn finish(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
