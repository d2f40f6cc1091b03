//! TLS to the broker: rustls with the ring provider, certificates from PEM.

use std::{path::Path, sync::Arc};

use jiff::Timestamp;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};

use super::der;

/// How the broker is reached with TLS. Two are equal when they were made of the same certificates, key and name.
#[derive(Clone, Debug)]
pub struct Tls {
    client: Arc<ClientConfig>,
    fingerprint: [u8; 32],
    expires: Option<Timestamp>,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Tls {}

/// Why a certificate or a key is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("there is no certificate in it: it must be PEM, between `-----BEGIN CERTIFICATE-----` and its end")]
    NoCertificate,
    #[error("one of the certificates is damaged")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("there is no private key in it: it must be PEM, PKCS#8, PKCS#1 or SEC1")]
    Key,
    #[error("the key does not belong to the certificate")]
    Mismatch,
    #[error("the certificate cannot be used")]
    Certificate(#[source] rustls::Error),
    #[error("the certificate expired on {0}")]
    Expired(Timestamp),
    #[error("the certificate counts from {0} on")]
    Early(Timestamp),
    #[error("this machine trusts no certificate authority: name one with broker.tls.ca")]
    NoAuthorities,
    #[error("{path}")]
    File {
        path: String,
        #[source]
        err: Box<TlsError>,
    },
}

impl TlsError {
    /// Says in which file.
    pub(crate) fn of(self, path: &Path) -> Self {
        Self::File { path: path.display().to_string(), err: Box::new(self) }
    }
}

/// Who we are.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a certificate chain and its key, and sees that they belong together.
    pub(crate) fn read(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_no_key| TlsError::Key)?;
        let signing = ring::sign::any_supported_type(&key).map_err(|_unusable| TlsError::Key)?;
        match CertifiedKey::new(chain.clone(), signing).keys_match() {
            Ok(()) => Ok(Self { chain, key }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch),
            Err(err) => Err(TlsError::Certificate(err)),
        }
    }
}

/// The certificates of a PEM file, in their order.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(TlsError::Pem)?;
    if found.is_empty() { Err(TlsError::NoCertificate) } else { Ok(found) }
}

/// Those of a PEM file as authorities.
pub(crate) fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(TlsError::Certificate)?;
    }
    Ok(roots)
}

/// Those that the machine trusts.
pub(crate) fn authorities_of_the_machine() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if taken == 0 { Err(TlsError::NoAuthorities) } else { Ok(roots) }
}

/// Whether a certificate counts at a time. One whose dates cannot be read is left to the handshake.
pub(crate) fn in_force(certificate: Option<&CertificateDer<'_>>, now: Timestamp) -> Result<(), TlsError> {
    let Some((from, until)) = certificate.and_then(|certificate| der::validity(certificate)) else { return Ok(()) };
    if now > until {
        return Err(TlsError::Expired(until));
    }
    if now < from {
        return Err(TlsError::Early(from));
    }
    Ok(())
}

/// A name that a certificate can be for.
pub(crate) fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|_neither| format!("`{text}` is neither a host name nor an address"))
}

impl Tls {
    /// * `name`: what the broker's certificate must be for, when it is not the host of the URL.
    pub(crate) fn new(roots: RootCertStore, identity: Option<Identity>, name: Option<ServerName<'static>>) -> Result<Self, TlsError> {
        let mut fingerprint = Sha256::new();
        let mut note = |bytes: &[u8]| {
            fingerprint.update(bytes.len().to_le_bytes());
            fingerprint.update(bytes);
        };
        for root in &roots.roots {
            note(root.subject.as_ref());
            note(root.subject_public_key_info.as_ref());
        }
        note(b"identity");
        if let Some(identity) = &identity {
            identity.chain.iter().for_each(|certificate| note(certificate));
            note(identity.key.secret_der());
        }
        note(name.as_ref().map(ServerName::to_str).unwrap_or_default().as_bytes());
        let expires = identity.as_ref().and_then(|identity| der::validity(identity.chain.first()?)).map(|(_, until)| until);

        let provider = Arc::new(ring::default_provider());
        let versions = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = versions.map_err(TlsError::Certificate)?;
        let trusting = match name {
            None => builder.with_root_certificates(roots),
            Some(name) => {
                let verifier = Named::new(roots, name, provider)?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let client = match identity {
            Some(Identity { chain, key }) => trusting.with_client_auth_cert(chain, key).map_err(TlsError::Certificate)?,
            None => trusting.with_no_client_auth(),
        };
        Ok(Self { client: Arc::new(client), fingerprint: fingerprint.finalize().into(), expires })
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// When our own certificate ends, if we have one.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// Checks a broker's certificate as usual, but for a name of our own choice: brokers are often reached by address.
#[derive(Debug)]
struct Named {
    usual: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl Named {
    fn new(roots: RootCertStore, name: ServerName<'static>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let usual = usual.map_err(|err| TlsError::Certificate(rustls::Error::General(err.to_string())))?;
        Ok(Self { usual, name })
    }
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.usual.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
