//! Connected accounts: payees as Stripe knows them.

use serde::Deserialize;

use crate::client::{Client, path};
use crate::error::StripeError;
use crate::form::Form;
use crate::idempotency::IdempotencyKey;
use crate::object::{AccountId, open_enum};

open_enum! {
    /// Whether an account may do something.
    pub enum CapabilityStatus { Active = "active", Pending = "pending", Inactive = "inactive" }
}

/// A payee as we register it: the express dashboard, Stripe collecting what the law requires, the platform bearing fees and
/// losses.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// ISO 3166-1 alpha-2.
    pub country: String,
    pub email: Option<String>,
    /// Ours: tenant and payee.
    pub metadata: Vec<(String, String)>,
}

/// A connected account.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub payouts_enabled: bool,
    pub details_submitted: bool,
    #[serde(default)]
    capabilities: Capabilities,
    #[serde(default)]
    requirements: Requirements,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Capabilities {
    transfers: Option<CapabilityStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Requirements {
    #[serde(default)]
    past_due: Option<Vec<String>>,
    #[serde(default)]
    currently_due: Option<Vec<String>>,
}

/// Whether a payee can be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// What Stripe still wants from the payee.
    Waiting {
        due: Vec<String>,
    },
}

impl Account {
    /// The `transfers` capability.
    pub fn transfers(&self) -> CapabilityStatus {
        self.capabilities.transfers.clone().unwrap_or(CapabilityStatus::Inactive)
    }

    /// Ready: transfers active, payouts enabled and nothing past due. Never concluded from the onboarding redirect.
    pub fn readiness(&self) -> Readiness {
        let past_due = self.requirements.past_due.clone().unwrap_or_default();
        if self.transfers() == CapabilityStatus::Active && self.payouts_enabled && past_due.is_empty() {
            return Readiness::Ready;
        }
        let mut due = past_due;
        due.extend(self.requirements.currently_due.clone().unwrap_or_default());
        due.sort();
        due.dedup();
        Readiness::Waiting { due }
    }
}

/// A page where a payee gives Stripe what it asks for. Single use.
#[derive(Clone, Debug, Deserialize)]
pub struct AccountLink {
    pub url: String,
    /// Unix seconds.
    pub expires_at: i64,
}

impl Client {
    /// `POST /v1/accounts` with a controller (not the legacy `type`).
    pub async fn create_account(&self, new: &NewAccount, key: &IdempotencyKey) -> Result<Account, StripeError> {
        let controller = Form::new()
            .map("losses", Form::new().text("payments", "application"))
            .map("fees", Form::new().text("payer", "application"))
            .map("stripe_dashboard", Form::new().text("type", "express"))
            .text("requirement_collection", "stripe");
        let form = Form::new()
            .text("country", &new.country)
            .optional("email", new.email.as_deref())
            .map("controller", controller)
            .map("capabilities", Form::new().map("transfers", Form::new().flag("requested", true)))
            .metadata(&new.metadata);
        self.post("/v1/accounts", &form, key, None).await
    }

    /// `GET /v1/accounts/{id}`
    pub async fn retrieve_account(&self, id: &AccountId) -> Result<Account, StripeError> {
        self.get(&path("accounts", id.as_str(), ""), &Form::new(), None).await
    }

    /// `POST /v1/account_links` for onboarding.
    pub async fn create_account_link(
        &self,
        account: &AccountId,
        refresh_url: &str,
        return_url: &str,
        key: &IdempotencyKey,
    ) -> Result<AccountLink, StripeError> {
        let form = Form::new()
            .text("account", account.as_str())
            .text("type", "account_onboarding")
            .text("refresh_url", refresh_url)
            .text("return_url", return_url);
        self.post("/v1/account_links", &form, key, None).await
    }
}
