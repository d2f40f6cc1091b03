//! The documented test payment methods and what becomes of them.

use serde_json::{Value, json};

/// What a bank or card network does with a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Succeeds,
    Declines {
        code: &'static str,
        decline_code: &'static str,
        advice_code: Option<&'static str>,
    },
    /// 402 `authentication_required` off session.
    WantsThePayer,
}

/// Card or bank account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Card,
    BankAccount,
}

impl Means {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::BankAccount => "us_bank_account",
        }
    }
}

/// One documented test method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TestMethod {
    pub(crate) means: Means,
    pub(crate) behaviour: Behaviour,
    last4: &'static str,
}

const fn declines(code: &'static str, decline_code: &'static str, advice_code: Option<&'static str>) -> Behaviour {
    Behaviour::Declines { code, decline_code, advice_code }
}

/// The test method of an id such as `pm_card_visa`.
pub(crate) fn find(id: &str) -> Option<TestMethod> {
    let later = Some("try_again_later");
    let never = Some("do_not_try_again");
    let (means, last4, behaviour) = match id {
        "pm_card_visa" | "pm_card_us" => (Means::Card, "4242", Behaviour::Succeeds),
        "pm_card_visa_debit" => (Means::Card, "5556", Behaviour::Succeeds),
        "pm_card_mastercard" => (Means::Card, "4444", Behaviour::Succeeds),
        "pm_card_amex" => (Means::Card, "8431", Behaviour::Succeeds),
        "pm_card_chargeDeclined" | "pm_card_visa_chargeDeclined" => {
            (Means::Card, "0002", declines("card_declined", "generic_decline", later))
        }
        "pm_card_chargeDeclinedInsufficientFunds" | "pm_card_visa_chargeDeclinedInsufficientFunds" => {
            (Means::Card, "9995", declines("card_declined", "insufficient_funds", later))
        }
        "pm_card_visa_chargeDeclinedLostCard" => (Means::Card, "9987", declines("card_declined", "lost_card", never)),
        "pm_card_visa_chargeDeclinedStolenCard" => (Means::Card, "9979", declines("card_declined", "stolen_card", never)),
        "pm_card_chargeDeclinedExpiredCard" => (Means::Card, "0069", declines("expired_card", "expired_card", None)),
        "pm_card_chargeDeclinedProcessingError" => (Means::Card, "0119", declines("processing_error", "processing_error", later)),
        "pm_card_authenticationRequired" => (Means::Card, "3184", Behaviour::WantsThePayer),
        "pm_usBankAccount" | "pm_usBankAccount_success" => (Means::BankAccount, "6789", Behaviour::Succeeds),
        "pm_usBankAccount_accountClosed" => {
            (Means::BankAccount, "1113", declines("payment_method_customer_decline", "account_closed", None))
        }
        "pm_usBankAccount_insufficientFunds" => {
            (Means::BankAccount, "2227", declines("payment_method_customer_decline", "insufficient_funds", None))
        }
        "pm_usBankAccount_debitNotAuthorized" => {
            (Means::BankAccount, "3335", declines("payment_method_customer_decline", "debit_not_authorized", None))
        }
        _ => return None,
    };
    Some(TestMethod { means, behaviour, last4 })
}

impl TestMethod {
    /// The payment method object; `customer` is an id or null.
    pub(crate) fn object(&self, id: &str, created_s: i64, customer: Value) -> Value {
        let mut method = json!({
            "id": id, "object": "payment_method", "created": created_s, "customer": customer, "customer_account": null,
            "livemode": false, "metadata": {}, "type": self.means.as_str(),
            "billing_details": { "address": null, "email": null, "name": null, "phone": null, "tax_id": null },
        });
        method[self.means.as_str()] = match self.means {
            Means::Card => json!({
                "brand": "visa", "checks": null, "country": "US", "display_brand": "visa", "exp_month": 12, "exp_year": 2035,
                "funding": "credit", "generated_from": null, "last4": self.last4, "networks": null,
                "regulated_status": "unregulated", "three_d_secure_usage": null, "wallet": null,
            }),
            Means::BankAccount => json!({
                "account_holder_type": "company", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
                "financial_connections_account": null, "fingerprint": null, "last4": self.last4, "networks": null,
                "routing_number": "110000000", "status_details": null,
            }),
        };
        method
    }
}
