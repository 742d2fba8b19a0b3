//! Which addresses may get an account.

use crate::Source;

/// Which addresses may get an account.
#[derive(Clone, Debug)]
pub struct AddressRule {
    /// Patterns in lower case, with `*` for anything.
    pub patterns: Vec<String>,
    /// What made it.
    pub source: Source,
}

impl AddressRule {
    /// Whether `address`, in lower case, may get an account.
    #[must_use]
    pub fn allows(&self, address: &str) -> bool {
        // What could be read as two addresses is none.
        let odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>');
        let plain = address.matches('@').count() == 1 && !address.contains(odd);
        plain && self.patterns.iter().any(|pattern| matches(pattern, address))
    }
}

/// Whether `text` is as `pattern` says, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_by_patterns() {
        let patterns = ["*@example.com", "ops-*@*.example.org", "boss@home.example"];
        let patterns = patterns.map(str::to_owned).to_vec();
        let rule = AddressRule { patterns, source: Source::Default };
        for (address, allowed) in [
            ("a@example.com", true),
            ("boss@home.example", true),
            ("ops-1@a.example.org", true),
            ("ops-1@example.org", false),
            ("a@b.example.com", false),
            ("a@example.com.evil.net", false),
            ("aboss@home.example", false),
            ("boss@home.example2", false),
            ("evil@evil.net,a@example.com", false),
            ("<evil@evil.net>@example.com", false),
            ("a b@example.com", false),
            ("@example.com", true),
            ("", false),
        ] {
            assert_eq!(rule.allows(address), allowed, "{address}");
        }
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "aXbYc", true),
            ("a*a", "a", false),
            ("a*bb*b", "abb", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
