//! Whom a certificate is for, as text that can stand in a log.

use rustls::pki_types::CertificateDer;
use x509_parser::{
    objects::{oid_registry, oid2abbrev},
    prelude::{FromDer, X509Certificate},
    x509::AttributeTypeAndValue,
};

/// The longest text, in characters.
const LONGEST: usize = 256;

/// The subject of a certificate as in RFC 4514, cut to what fits a line; its serial number if it
/// has none. What cannot be seen is escaped, so that no name looks like another or like two lines.
pub(crate) fn subject(certificate: &CertificateDer<'_>) -> String {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return "unreadable".to_owned();
    };
    let mut text = String::new();
    let names: Vec<_> = parsed.subject().iter_rdn().collect();
    // The most particular one stands last in a certificate and first in the text.
    for name in names.into_iter().rev() {
        for (at, attribute) in name.iter().enumerate() {
            let between = match (text.is_empty(), at) {
                (true, _) => "",
                (false, 0) => ",",
                (false, _) => "+",
            };
            text.push_str(between);
            write(attribute, &mut text);
        }
        if text.len() > 4 * LONGEST {
            break;
        }
    }
    if text.is_empty() {
        text = format!("serial {}", hex(parsed.raw_serial()));
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            text.truncate(end);
            text + "…"
        }
        None => text,
    }
}

fn write(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let kind = attribute.attr_type();
    match oid2abbrev(kind, oid_registry()) {
        Ok(known) => text.push_str(known),
        Err(_) => text.push_str(&kind.to_id_string()),
    }
    text.push('=');
    let Ok(value) = attribute.as_str() else {
        text.push('#');
        text.push_str(&hex(attribute.as_slice().get(..LONGEST).unwrap_or(attribute.as_slice())));
        return;
    };
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate().take(LONGEST) {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            ' ' | '#' if at == 0 => text.extend(['\\', c]),
            ' ' if at == last => text.extend(['\\', c]),
            '\'' => text.push(c),
            // Whatever Rust would not print as it is: control characters, marks that reverse text.
            c if c.escape_debug().nth(1).is_some() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&format!("\\{byte:02X}"));
                }
            }
            c => text.push(c),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn text(names: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.serial_number = Some(0x0a1b_u64.into());
        subject(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    #[test]
    fn a_subject_is_one_line_that_says_what_it_says() {
        let name = |value: &str| text(&[(DnType::CommonName, value)]);
        for (value, expected) in [
            ("Alice Müller", "CN=Alice Müller"),
            ("a,b+c\"d\\e;<f>", "CN=a\\,b\\+c\\\"d\\\\e\\;\\<f\\>"),
            (" #x# ", "CN=\\ #x#\\ "),
            ("#", "CN=\\#"),
            ("O'Hara", "CN=O'Hara"),
            ("a\n{\"status\":200}\r\0\u{1b}", "CN=a\\0A{\\\"status\\\":200}\\0D\\00\\1B"),
            ("a\u{202e}b\u{85}", "CN=a\\E2\\80\\AEb\\C2\\85"),
            ("", "CN="),
        ] {
            assert_eq!(name(value), expected);
        }
        let whole = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Example, Inc."),
            (DnType::CommonName, "alice"),
            (DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99_999, 1]), "x"),
        ];
        let expected = "1.3.6.1.4.1.99999.1=x,CN=alice,O=Example\\, Inc.,C=DE";
        assert_eq!(text(&whole), expected);
        assert_eq!(text(&[]), "serial 0a1b");
    }

    #[test]
    fn a_subject_is_cut_to_what_fits() {
        for long in ["x".repeat(5000), "\n".repeat(5000), "é".repeat(5000)] {
            let names = [(DnType::OrganizationName, &*long), (DnType::CommonName, &*long)];
            assert_eq!(text(&names).chars().count(), LONGEST + 1, "and a sign of it");
        }
        let fits = "x".repeat(LONGEST - 3);
        assert_eq!(text(&[(DnType::CommonName, &fits)]), format!("CN={fits}"));
        assert_eq!(subject(&CertificateDer::from(b"hello".to_vec())), "unreadable");
    }
}
