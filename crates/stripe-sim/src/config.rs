//! How a simulator is set up.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Tells the simulator the time, in unix seconds.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    pub fn new(now_s: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_s))
    }

    pub(crate) fn now_s(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now_s())
    }
}

/// What a charge costs: a rate, rounded half up, plus a fixed part, up to a cap; all in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeRule {
    /// Parts per million of the amount.
    pub rate_ppm: i64,
    pub fixed: i64,
    pub cap: Option<i64>,
}

impl FeeRule {
    /// 2.9 % + 30.
    pub const CARD: Self = Self { rate_ppm: 29_000, fixed: 30, cap: None };
    /// 0.8 %, at most 500.
    pub const BANK_DEBIT: Self = Self { rate_ppm: 8_000, fixed: 0, cap: Some(500) };

    /// The fee on `amount`.
    pub fn fee(&self, amount: i64) -> i64 {
        let exact = i128::from(amount) * i128::from(self.rate_ppm);
        let rate = i64::try_from((exact + 500_000) / 1_000_000).unwrap_or(i64::MAX);
        let fee = rate.saturating_add(self.fixed);
        self.cap.map_or(fee, |cap| fee.min(cap))
    }
}

/// When a new connected account may receive transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onboarding {
    /// With its creation.
    AtOnce,
    /// When [`crate::Sim::onboard`] is called.
    OnRequest,
}

/// An endpoint of ours that Stripe tells about events.
#[derive(Clone)]
pub struct WebhookTarget {
    pub url: String,
    /// Each gives one `v1` signature: two while a secret is being rolled.
    pub secrets: Vec<String>,
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTarget").field("url", &self.url).field("secrets", &"***").finish()
    }
}

/// How unreliable the delivery of webhooks is: chances per thousand deliveries, drawn from the seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebhookFaults {
    /// Never delivered; still listed at `/v1/events`.
    pub drop_per_mille: u32,
    /// Delivered twice.
    pub duplicate_per_mille: u32,
    /// Delivered after the next one.
    pub reorder_per_mille: u32,
    /// Delivered `delay` later.
    pub delay_per_mille: u32,
    pub delay: Duration,
}

/// Everything a simulator is started with.
#[derive(Clone)]
pub struct SimConfig {
    /// Port 0 chooses a free one.
    pub addr: SocketAddr,
    /// Two simulators with the same seed and the same calls give the same ids.
    pub seed: u64,
    pub clock: Clock,
    /// The key that calls must carry.
    pub secret_key: String,
    pub card_fee: FeeRule,
    pub bank_debit_fee: FeeRule,
    /// How long after a charge its money becomes available, in seconds.
    pub settlement_s: i64,
    pub onboarding: Onboarding,
    pub webhooks: Vec<WebhookTarget>,
    pub webhook_faults: WebhookFaults,
    /// Tries per delivery, the first included.
    pub webhook_tries_max: u32,
    /// The wait before the first repetition; it doubles.
    pub webhook_retry: Duration,
}

impl SimConfig {
    /// A faultless simulator on a free port of this machine.
    pub fn new(seed: u64, clock: Clock) -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed,
            clock,
            secret_key: "sk_test_negawatt".to_owned(),
            card_fee: FeeRule::CARD,
            bank_debit_fee: FeeRule::BANK_DEBIT,
            settlement_s: 2 * 24 * 3_600,
            onboarding: Onboarding::AtOnce,
            webhooks: Vec::new(),
            webhook_faults: WebhookFaults::default(),
            webhook_tries_max: 4,
            webhook_retry: Duration::from_millis(50),
        }
    }
}

impl fmt::Debug for SimConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimConfig")
            .field("addr", &self.addr)
            .field("seed", &self.seed)
            .field("secret_key", &"***")
            .field("webhooks", &self.webhooks)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_round_half_up_and_stop_at_the_cap() {
        assert_eq!(FeeRule::CARD.fee(10_000), 320);
        assert_eq!(FeeRule::CARD.fee(50), 31); // 1.45 + 30
        assert_eq!(FeeRule::CARD.fee(500), 45); // 14.5 + 30
        assert_eq!(FeeRule::BANK_DEBIT.fee(10_000), 80);
        assert_eq!(FeeRule::BANK_DEBIT.fee(10_000_000), 500);
    }
}
