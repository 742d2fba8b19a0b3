//! What a new password has to be, beyond what n8n asks.

use std::fmt;

use crate::Source;

/// What a new password has to be.
#[derive(Clone, Copy, Debug)]
pub struct PasswordRule {
    /// How many characters it has at the least.
    pub min_length: usize,
    /// Of how many kinds its characters are at the least: lower-case letters, upper-case letters,
    /// digits, others.
    pub classes: u8,
    /// How hard it is to guess at the least: 0 to 4, as zxcvbn counts. 0 asks nothing.
    pub strength: u8,
    /// Whether it must not be among those that have leaked.
    pub leaked: bool,
    /// What made it.
    pub source: Source,
}

/// What is known of a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// How many characters it has.
    pub length: usize,
    /// Of how many kinds they are.
    pub classes: u8,
    /// How hard it is to guess, if anybody has looked.
    pub strength: Option<u8>,
    /// Whether it has leaked, if anybody could look.
    pub leaked: Option<bool>,
}

/// What is wrong with a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It has fewer characters than this.
    Short(usize),
    /// Its characters are of fewer kinds than this.
    Uniform(u8),
    /// It has leaked.
    Leaked,
    /// It is easy to guess.
    Guessable,
}

impl Weighed {
    /// What a look at the password alone tells.
    #[must_use]
    pub fn of(password: &str) -> Self {
        let kinds: [fn(char) -> bool; 4] = [
            char::is_lowercase,
            char::is_uppercase,
            |c| c.is_ascii_digit(),
            |c| !c.is_lowercase() && !c.is_uppercase() && !c.is_ascii_digit(),
        ];
        let classes = kinds.into_iter().map(|kind| u8::from(password.chars().any(kind))).sum();
        Self { length: password.chars().count(), classes, strength: None, leaked: None }
    }
}

impl PasswordRule {
    /// Whether a password may be set. What nobody could look at is not held against it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge(&self, weighed: Weighed) -> Result<(), Weakness> {
        let Weighed { length, classes, strength, leaked } = weighed;
        if length < self.min_length {
            return Err(Weakness::Short(self.min_length));
        }
        if classes < self.classes {
            return Err(Weakness::Uniform(self.classes));
        }
        if self.leaked && leaked == Some(true) {
            return Err(Weakness::Leaked);
        }
        if strength.is_some_and(|it| it < self.strength) {
            return Err(Weakness::Guessable);
        }
        Ok(())
    }
}

/// For whoever has chosen it, in n8n's form.
impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(least) => write!(f, "Password must have at least {least} characters."),
            Self::Uniform(least) => write!(
                f,
                "Password must have characters of at least {least} kinds: lower-case letters, \
                 upper-case letters, numbers, others."
            ),
            Self::Leaked => {
                f.write_str("This password is known from a data leak. Choose another one.")
            }
            Self::Guessable => f.write_str(
                "This password is too easy to guess. Choose a longer one, or several uncommon words.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_judged_by_all_that_is_asked() {
        let rule = PasswordRule {
            min_length: 12,
            classes: 3,
            strength: 3,
            leaked: true,
            source: Source::Default,
        };
        for (password, strength, leaked, expected) in [
            ("Short1!", Some(4), Some(false), Err(Weakness::Short(12))),
            ("längeres wört", Some(4), Some(false), Err(Weakness::Uniform(3))),
            ("Längeres Wort", Some(4), Some(false), Ok(())),
            ("alllowercase12", Some(4), Some(false), Err(Weakness::Uniform(3))),
            ("Passw0rd-Owner", Some(4), Some(true), Err(Weakness::Leaked)),
            ("Passw0rd-Owner", Some(2), Some(false), Err(Weakness::Guessable)),
            ("Passw0rd-Owner", Some(3), None, Ok(())),
            ("Passw0rd-Owner", None, None, Ok(())),
        ] {
            let weighed = Weighed { strength, leaked, ..Weighed::of(password) };
            assert_eq!(rule.judge(weighed), expected, "{password} {strength:?} {leaked:?}");
        }
    }
}
