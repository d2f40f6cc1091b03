//! Connected accounts.

use serde_json::{Value, json};

use super::{Request, Ruling, World};
use crate::answer::{Refusal, member, metadata, text};
use crate::config::Onboarding;

impl World {
    pub(super) fn create_account(&mut self, request: &Request<'_>) -> Ruling {
        let id = self.seed.id("acct");
        let params = &request.params;
        if params.get("controller").is_some() && params.get("type").is_some() {
            return Err(Refusal::invalid(None, "You may not provide the `type` parameter and `controller` parameter together."));
        }
        let requested = params.pointer("/capabilities/transfers/requested") == Some(&json!(true));
        let due = json!(["individual.first_name", "individual.last_name", "external_account", "tos_acceptance.date"]);
        let mut controller = member(params, "controller");
        if !controller.is_object() {
            controller = json!({});
        }
        controller["type"] = json!("application");
        controller["is_controller"] = json!(true);
        let account = json!({
            "id": id, "object": "account", "business_type": member(params, "business_type"), "charges_enabled": false,
            "capabilities": if requested { json!({ "transfers": "inactive" }) } else { json!({}) }, "controller": controller,
            "country": text(params, "country").unwrap_or("US"), "created": self.now_s(), "default_currency": "usd",
            "details_submitted": false, "email": member(params, "email"), "metadata": metadata(params), "payouts_enabled": false,
            "requirements": {
                "alternatives": [], "current_deadline": null, "currently_due": due, "disabled_reason": "requirements.past_due",
                "errors": [], "eventually_due": due, "past_due": due, "pending_verification": [],
            },
            "type": "none",
        });
        let account = self.keep(account, None);
        match self.config.onboarding {
            Onboarding::AtOnce => Ok(self.onboard(&id).unwrap_or(account)),
            Onboarding::OnRequest => Ok(account),
        }
    }

    /// The payee gave Stripe everything it asked for. None when there is no such account.
    pub(crate) fn onboard(&mut self, id: &str) -> Option<Value> {
        self.of_kind("account", id)?;
        let account = self.change(id, |account| {
            if account["capabilities"].get("transfers").is_some() {
                account["capabilities"]["transfers"] = json!("active");
            }
            account["details_submitted"] = json!(true);
            account["payouts_enabled"] = json!(true);
            for list in ["currently_due", "eventually_due", "past_due"] {
                account["requirements"][list] = json!([]);
            }
            account["requirements"]["disabled_reason"] = Value::Null;
        });
        let capability = json!({ "id": "transfers", "object": "capability", "account": id, "requested": true,
                                 "requested_at": account["created"], "status": "active" });
        self.emit("capability.updated", &capability, Some(id));
        self.emit("account.updated", &account, Some(id));
        Some(account)
    }

    pub(super) fn create_account_link(&mut self, request: &Request<'_>) -> Ruling {
        let account = request.text("account").unwrap_or_default();
        if self.of_kind("account", account).is_none() {
            return Err(Refusal::missing("account", account, "account"));
        }
        let created_s = self.now_s();
        let url = format!("https://connect.stripe.com/setup/e/{account}/{}", self.seed.id("once"));
        Ok(json!({ "object": "account_link", "created": created_s, "expires_at": created_s + 300, "url": url }))
    }
}
