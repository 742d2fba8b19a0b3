//! What all peers share: a certificate, lists of networks, files that the backend serves.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use rustls_pki_types::CertificateDer;

use crate::chain::write_chain;

use super::client::{BANNED, HOST};

/// How large the large file is: uploads send it as well.
pub(super) const LARGE_SIZE: usize = 64 << 20;

/// Makes a folder anew with all of it, and gives the authority of the certificate.
pub(super) fn furnish(folder: &Path) -> anyhow::Result<CertificateDer<'static>> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let files = folder.join("www/rest/files");
    for folder in [&folder.join("keys"), &folder.join("lists"), &files] {
        fs::create_dir_all(folder)?;
    }
    fs::write(files.join("16k"), vec![b'x'; 16 << 10])?;
    fs::write(files.join("64m"), vec![b'x'; LARGE_SIZE])?;
    let lists = folder.join("lists");
    let strangers: Vec<String> = (0..199).map(|n| format!("10.{n}.{}.0/24", 255 - n)).collect();
    let with = |last: &str| strangers.iter().cloned().chain([last.to_owned()]).collect::<Vec<_>>();
    write_list(&lists.join("allow"), &with("127.0.0.0/24"))?;
    write_list(&lists.join("others"), &with("192.0.2.0/24"))?;
    write_list(&lists.join("banned"), &[format!("{BANNED}/32")])?;
    certificate(&folder.join("keys"))
}

/// Writes a list of networks as each peer reads it.
pub(super) fn write_list(path: &Path, networks: &[String]) -> anyhow::Result<()> {
    let (mut lines, mut geo) = (String::new(), String::new());
    for network in networks {
        _ = writeln!(lines, "{network}");
        _ = writeln!(geo, "{network} 1;");
    }
    for (ending, text) in
        [("txt", lines), ("geo", geo), ("caddy", format!("remote_ip {}\n", networks.join(" ")))]
    {
        let next = path.with_extension("next");
        fs::write(&next, text)?;
        fs::rename(next, path.with_extension(ending))?;
    }
    Ok(())
}

/// A hundred thousand networks; those who measure are among them or not.
pub(super) fn many(ourselves: bool) -> Vec<String> {
    let strangers =
        (0..99_999).map(|n| format!("{}.{}.{}.0/24", 10 + n / 65_536, n / 256 % 256, n % 256));
    let last = if ourselves { "127.0.0.0/24" } else { "192.0.2.0/24" };
    strangers.chain([last.to_owned()]).collect()
}

/// The file that is uploaded.
pub(super) fn large(folder: &Path) -> PathBuf {
    folder.join("www/rest/files/64m")
}

/// One certificate with an ECDSA key on P-256, which is what rcgen makes by default.
fn certificate(folder: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let (_, authority) = write_chain("benchmark", HOST, folder)?;
    // HAProxy reads both from one file.
    let both = ["chain.pem", "key.pem"].map(|name| fs::read_to_string(folder.join(name)));
    let [chain, key] = both;
    fs::write(folder.join("both.pem"), chain? + &key?)?;
    Ok(authority)
}
