//! Noise with a known correlation, with the tails and the seasons of real meters, from a seed.

/// A stream of numbers from a seed (SplitMix64), the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Noise(u64);

/// How the shocks of an autoregression are distributed; each has mean 0 and variance 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    Normal,
    /// Student's t with four degrees of freedom: one day in a hundred is beyond 2.6 standard deviations instead of 2.3, and its fourth moment is infinite.
    Heavy,
    /// An exponential less its mean: a few large days upwards.
    Skewed,
}

/// What the residuals of real models keep of the seasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Season {
    None,
    /// The standard deviation swings by half around its mean, largest in January.
    Spread,
    /// A quarter of the variance is a wave of 120 days that the weather does not explain.
    Wave,
}

impl Noise {
    /// The stream of one run of one scenario.
    pub(crate) fn new(seed: u64, scenario: u64, run: u64) -> Self {
        let mut noise = Self(seed ^ scenario.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ run.wrapping_mul(0xa076_1d64_78bd_642f));
        noise.next();
        noise
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1, neither included.
    pub(crate) fn uniform(&mut self) -> f64 {
        let upper = u32::try_from(self.next() >> 32).unwrap_or(0);
        (f64::from(upper) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }

    /// An index below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.next()) * u128::try_from(count).unwrap_or(0);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    fn shock(&mut self, tail: Tail) -> f64 {
        match tail {
            Tail::Normal => self.normal(),
            Tail::Heavy => {
                let chi_squared = -2.0 * libm::log(self.uniform() * self.uniform());
                self.normal() / (chi_squared / 4.0).sqrt() / std::f64::consts::SQRT_2
            }
            Tail::Skewed => -libm::log(self.uniform()) - 1.0,
        }
    }

    /// A first-order autoregression of unit variance.
    pub(crate) fn series(&mut self, rho: f64, tail: Tail, season: Season, days: usize) -> Vec<f64> {
        let phase = self.uniform();
        let mut last = self.shock(tail);
        (0..days)
            .map(|day| {
                if day > 0 {
                    last = rho * last + (1.0 - rho * rho).sqrt() * self.shock(tail);
                }
                let turn = |length: f64| std::f64::consts::TAU * (day as f64 / length);
                match season {
                    Season::None => last,
                    // √(1 + 1/8) is the root of the mean square of 1 + cos/2.
                    Season::Spread => last * (1.0 + 0.5 * libm::cos(turn(365.0))) / 1.125_f64.sqrt(),
                    Season::Wave => {
                        let wave = std::f64::consts::SQRT_2 * libm::cos(turn(120.0) + std::f64::consts::TAU * phase);
                        0.75_f64.sqrt() * last + 0.5 * wave
                    }
                }
            })
            .collect()
    }
}
