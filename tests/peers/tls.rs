//! Mosquitto behind TLS that wants to see a certificate: the right gateway gets through, and nobody else.

use std::fs;

use negawatt_tests::{certificates::certificates, program::free_address};

use crate::{peer::until, site::Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_pass_over_mutual_tls_and_nobody_else_does() {
    let site = Site::new().await;
    let folder = site.folder.path();
    certificates(folder, "authority", &[("broker", "broker.example"), ("gateway", "gw-1")]);
    certificates(folder, "stranger", &[("forged", "gw-1")]);
    let (plain, secure) = (free_address(), free_address());
    let at = |name: &str| site.path(name).display().to_string();
    // The name in the certificate is the user, and may publish under its own name alone.
    fs::write(site.path("acl"), "topic readwrite #\nuser gw-1\ntopic readwrite nw/1/acme/hall/gw-1/#\n").unwrap();
    let settings = format!(
        "acl_file {}\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true\n",
        at("acl"),
        secure.port(),
        at("authority.pem"),
        at("broker.pem"),
        at("broker-key.pem")
    );
    let mut broker = site.mosquitto(plain, &settings);
    broker.listening(secure);
    let collector = site.collector(plain).await;
    let tls = |authority: &str, own: &str, name: &str| {
        let own = if own.is_empty() {
            String::new()
        } else {
            format!("certificate = \"{}\"\nkey = \"{}\"\n", at(&format!("{own}.pem")), at(&format!("{own}-key.pem")))
        };
        format!("url = \"mqtts://{secure}\"\n[broker.tls]\nca = \"{}\"\nserver_name = \"{name}\"\n{own}", at(&format!("{authority}.pem")))
    };
    for (who, settings, expected) in [
        ("stranger", tls("stranger", "gateway", "broker.example"), "UnknownIssuer"),
        ("misnamed", tls("authority", "gateway", "other.example"), "not valid for name"),
        ("nameless", tls("authority", "", "broker.example"), ""),
        ("forged", tls("authority", "forged", "broker.example"), ""),
    ] {
        let gateway = site.gateway_in(who, &settings);
        until("the connection fails", || !gateway.fault().is_empty()).await;
        assert!(gateway.fault().contains(expected), "{who}: {}", gateway.fault());
        assert_eq!((gateway.status.snapshot().acknowledged_seq, gateway.status.snapshot().frames_sent), (0, 0), "{who}");
        gateway.end().await;
    }
    let gateway = site.gateway(&tls("authority", "gateway", "broker.example"));
    site.poll(60, &gateway).await;
    gateway.confirmed().await;
    gateway.end().await;
    collector.end().await;
    site.check(60);
}
