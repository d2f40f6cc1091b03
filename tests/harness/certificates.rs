//! Who a broker and a gateway are, for tests of TLS.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Certificates of one authority, in files of a folder: `NAME.pem` and `NAME-key.pem`.
pub fn certificates(folder: &Path, authority: &str, names: &[(&str, &str)]) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, authority);
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join(format!("{authority}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (file, name) in names {
        let mut params = CertificateParams::new([(*name).to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, *name);
        let key = KeyPair::generate().unwrap();
        fs::write(folder.join(format!("{file}.pem")), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        let secret = folder.join(format!("{file}-key.pem"));
        fs::write(&secret, key.serialize_pem()).unwrap();
        // Neither side takes a key that others can read.
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
