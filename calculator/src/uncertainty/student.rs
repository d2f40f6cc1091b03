//! Student's t distribution.

use std::f64::consts::PI;

/// The value that Student's t with `degrees` degrees of freedom stays below with this probability.
///
/// * Shape: `degrees` may be fractional and is at least 1; `probability` lies strictly between 0 and 1, else NaN.
/// * Source: the regularised incomplete beta function by its continued fraction; agrees with tables to 1e-12.
pub fn quantile(probability: f64, degrees: f64) -> f64 {
    if !(probability > 0.0 && probability < 1.0 && degrees >= 1.0) {
        return f64::NAN;
    }
    if probability < 0.5 {
        return -quantile(1.0 - probability, degrees);
    }
    let (mut low, mut high) = (0.0, 1.0);
    while cumulative(high, degrees) < probability {
        low = high;
        high *= 2.0;
    }
    let mut t = (low + high) / 2.0;
    for _ in 0..100 {
        let excess = cumulative(t, degrees) - probability;
        if excess > 0.0 {
            high = t;
        } else {
            low = t;
        }
        let newton = t - excess / density(t, degrees);
        let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
        if (next - t).abs() <= 1e-15 * t.abs() {
            return next;
        }
        t = next;
    }
    t
}

fn density(t: f64, degrees: f64) -> f64 {
    libm::exp(log_gamma_step(degrees / 2.0) - (degrees + 1.0) / 2.0 * libm::log1p(t * t / degrees)) / (degrees * PI).sqrt()
}

/// The probability of staying below a positive `t`.
fn cumulative(t: f64, degrees: f64) -> f64 {
    if t <= 0.0 {
        return 0.5;
    }
    // The incomplete beta function I_x(ν/2, 1/2) at x = ν/(ν+t²).
    let (a, x, rest) = (degrees / 2.0, degrees / (degrees + t * t), t * t / (degrees + t * t));
    let front = libm::exp(log_gamma_step(a) - a * libm::log1p(t * t / degrees)) * (rest / PI).sqrt();
    let outside = if x < (a + 1.0) / (a + 2.5) { front * fraction(x, a, 0.5) / a } else { 1.0 - front * fraction(rest, 0.5, a) / 0.5 };
    1.0 - 0.5 * outside
}

/// ln Γ(a + 1/2) − ln Γ(a), without the loss of digits that two large logarithms bring.
fn log_gamma_step(a: f64) -> f64 {
    if a < 20.0 {
        return libm::lgamma(a + 0.5) - libm::lgamma(a);
    }
    let square = a * a;
    let series = -1.0 / 8.0 + (1.0 / 192.0 + (-1.0 / 640.0 + 17.0 / 14_336.0 / square) / square) / square;
    0.5 * libm::log(a) + series / a
}

/// The continued fraction of the incomplete beta function (Lentz).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for step in 1..=500_u16 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        result *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of an independent implementation (SciPy 1.17 `scipy.stats.t.ppf`).
    const TABLE: &[(f64, f64, f64)] = &[
        (0.95, 3.0, 2.3533634348018233),
        (0.95, 7.5, 1.8757474792112878),
        (0.95, 60.0, 1.6706488649046363),
        (0.95, 127.05, 1.6569355518462991),
        (0.95, 363.0, 1.649062136652858),
        (0.95, 2000.0, 1.6456158666989071),
        (0.975, 3.0, 3.1824463052837078),
        (0.975, 7.5, 2.333039626864974),
        (0.975, 60.0, 2.0002978220142604),
        (0.975, 127.05, 1.978812044349067),
        (0.975, 363.0, 1.9665206405684121),
        (0.975, 2000.0, 1.9611508260994377),
        (0.75, 3.0, 0.7648923284043444),
        (0.75, 7.5, 0.7085995804442596),
        (0.75, 60.0, 0.6786007206481355),
        (0.75, 127.05, 0.6764256828958785),
        (0.75, 363.0, 0.6751662071282863),
        (0.75, 2000.0, 0.6746124375310217),
        (0.995, 3.0, 5.840909309733355),
        (0.995, 7.5, 3.421422688124044),
        (0.995, 60.0, 2.6602830288550368),
        (0.995, 127.05, 2.615080334980027),
        (0.995, 363.0, 2.5894408137477556),
        (0.995, 2000.0, 2.5782897875575186),
    ];

    #[test]
    fn it_agrees_with_tables() {
        for (probability, degrees, expected) in TABLE {
            let found = quantile(*probability, *degrees);
            assert!((found / expected - 1.0).abs() < 1e-12, "t({probability}, {degrees}) = {found}, expected {expected}");
            assert!((quantile(1.0 - probability, *degrees) + found).abs() < 1e-9);
        }
        assert!((quantile(0.75, 1.0) - 1.0).abs() < 1e-12, "Cauchy: the upper quartile is 1");
    }

    /// Four degrees of freedom have a closed form: 2√(cos(acos(√α)/3)/√α − 1) with α = 4p(1−p).
    #[test]
    fn it_agrees_with_the_closed_form() {
        for probability in [0.75, 0.95, 0.995] {
            let root = f64::sqrt(4.0 * probability * (1.0 - probability));
            let expected = 2.0 * (libm::cos(libm::acos(root) / 3.0) / root - 1.0).sqrt();
            assert!((quantile(probability, 4.0) / expected - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn nonsense_is_not_a_number() {
        assert!(quantile(1.0, 5.0).is_nan() && quantile(0.9, 0.0).is_nan() && quantile(f64::NAN, 5.0).is_nan());
    }
}
