//! The table of jails and what each of them counts.

use std::fmt;

use gateway_n8n::Outcome;

/// Something that is held against a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Offence {
    /// A sign-in with a wrong password, or for nobody.
    WrongPassword,
    /// A wrong password from a client or a device that has signed in to the account before: most
    /// likely its owner's slip.
    KnownWrongPassword,
    /// A right password without the second factor that its account has.
    NoSecondFactor,
    /// A wrong code or recovery code after a right password.
    WrongSecondFactor,
    /// A token of a mail or an invitation that n8n did not make, or an owner's set-up tried on an
    /// n8n that has one.
    WrongToken,
    /// An API key, or an OAuth or MCP token, that n8n does not know.
    WrongKey,
    /// A path that n8n does not have.
    Probe,
    /// A request that only an attack makes.
    Attack,
    /// One request too many where requests are limited.
    Limited,
    /// What is not HTTP, or can be read in more than one way.
    Malformed,
    /// So slow that it only holds a place.
    Slow,
    /// What costs much and asks for nothing.
    Flood,
}

/// Where a banned client sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Jail {
    /// Guessing passwords.
    SignIn,
    /// Guessing passwords slowly.
    SignInSlow,
    /// Guessing codes.
    SecondFactor,
    /// Knowing a password, and not the second factor.
    LeakedPassword,
    /// Guessing API keys, and OAuth and MCP tokens.
    ApiKey,
    /// Looking for what is not there.
    Scan,
    /// Attacking.
    Attack,
    /// Asking too much, again and again.
    Flood,
    /// Speaking something else than HTTP, or only to keep the gateway busy.
    Protocol,
    /// Banned again and again.
    Recidive,
    /// Put there by the operator.
    Manual,
}

struct OffenceRow {
    offence: Offence,
    name: &'static str,
    jails: &'static [Jail],
}

struct JailRow {
    jail: Jail,
    name: &'static str,
    /// How many times `max_retry` an address may have behind which people work in the editor: an
    /// office's slips are many people's.
    shared: u16,
    /// How many times `max_retry` a whole IPv6 site may have, which has 65,536 networks to walk
    /// through; 0 where sites are not looked at.
    site: u16,
    /// Whether a slip in an address gets one here: webhooks that n8n takes are still taken.
    slip: bool,
}

#[rustfmt::skip]
static OFFENCES: [OffenceRow; 12] = [
    OffenceRow { offence: Offence::WrongPassword, name: "wrong_password", jails: &[Jail::SignIn, Jail::SignInSlow] },
    OffenceRow { offence: Offence::KnownWrongPassword, name: "known_wrong_password", jails: &[Jail::SignInSlow] },
    OffenceRow { offence: Offence::NoSecondFactor, name: "no_second_factor", jails: &[Jail::LeakedPassword] },
    OffenceRow { offence: Offence::WrongSecondFactor, name: "wrong_second_factor", jails: &[Jail::SecondFactor] },
    OffenceRow { offence: Offence::WrongToken, name: "wrong_token", jails: &[Jail::SignIn, Jail::SignInSlow] },
    OffenceRow { offence: Offence::WrongKey, name: "wrong_key", jails: &[Jail::ApiKey] },
    OffenceRow { offence: Offence::Probe, name: "probe", jails: &[Jail::Scan] },
    OffenceRow { offence: Offence::Attack, name: "attack", jails: &[Jail::Attack] },
    OffenceRow { offence: Offence::Limited, name: "limited", jails: &[Jail::Flood] },
    OffenceRow { offence: Offence::Malformed, name: "malformed", jails: &[Jail::Protocol] },
    OffenceRow { offence: Offence::Slow, name: "slow", jails: &[Jail::Protocol] },
    OffenceRow { offence: Offence::Flood, name: "flood", jails: &[Jail::Protocol] },
];

#[rustfmt::skip]
static JAILS: [JailRow; 11] = [
    JailRow { jail: Jail::SignIn, name: "sign-in", shared: 4, site: 8, slip: false },
    JailRow { jail: Jail::SignInSlow, name: "sign-in-slow", shared: 4, site: 8, slip: false },
    JailRow { jail: Jail::SecondFactor, name: "second-factor", shared: 4, site: 8, slip: false },
    JailRow { jail: Jail::LeakedPassword, name: "leaked-password", shared: 4, site: 8, slip: false },
    JailRow { jail: Jail::ApiKey, name: "api-key", shared: 1, site: 8, slip: false },
    JailRow { jail: Jail::Scan, name: "scan", shared: 4, site: 8, slip: true },
    JailRow { jail: Jail::Attack, name: "attack", shared: 1, site: 8, slip: false },
    JailRow { jail: Jail::Flood, name: "flood", shared: 4, site: 0, slip: false },
    JailRow { jail: Jail::Protocol, name: "protocol", shared: 1, site: 0, slip: true },
    JailRow { jail: Jail::Recidive, name: "recidive", shared: 1, site: 0, slip: false },
    JailRow { jail: Jail::Manual, name: "manual", shared: 1, site: 0, slip: false },
];

impl Offence {
    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static OffenceRow {
        &OFFENCES[self as usize]
    }

    /// Every offence, in the table's order.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        OFFENCES.iter().map(|row| row.offence)
    }

    /// The offence called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        OFFENCES.iter().find(|row| row.name == name).map(|row| row.offence)
    }

    /// Its name in logs and on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What a failed attempt is held against a client as, which has signed in to the account
    /// before if it is `known`.
    #[must_use]
    pub fn of(outcome: Outcome, known: bool) -> Option<Self> {
        match outcome {
            Outcome::WrongPassword if known => Some(Self::KnownWrongPassword),
            Outcome::WrongPassword => Some(Self::WrongPassword),
            Outcome::NoSecondFactor => Some(Self::NoSecondFactor),
            Outcome::WrongSecondFactor => Some(Self::WrongSecondFactor),
            Outcome::WrongToken => Some(Self::WrongToken),
            Outcome::WrongKey => Some(Self::WrongKey),
            Outcome::Succeeded | Outcome::Undecided => None,
        }
    }

    /// Whether `jail` counts it.
    #[must_use]
    pub fn counts_in(self, jail: Jail) -> bool {
        self.row().jails.contains(&jail)
    }
}

impl Jail {
    #[expect(clippy::indexing_slicing, reason = "the table has a row for each variant, in order")]
    fn row(self) -> &'static JailRow {
        &JAILS[self as usize]
    }

    /// Every jail, in the table's order.
    #[must_use]
    pub fn all() -> impl ExactSizeIterator<Item = Self> + Clone {
        JAILS.iter().map(|row| row.jail)
    }

    /// The jails that count offences, and so can be set in the policy.
    pub fn counting() -> impl Iterator<Item = Self> + Clone {
        Self::all().filter(|jail| Offence::all().any(|offence| offence.counts_in(*jail)))
    }

    /// The jail called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        JAILS.iter().find(|row| row.name == name).map(|row| row.jail)
    }

    /// How many times `max_retry` an address may have from which n8n has lately taken a session.
    #[must_use]
    pub fn shared(self) -> u16 {
        self.row().shared
    }

    /// How many times `max_retry` a whole IPv6 site may have; nothing if sites are not looked at.
    #[must_use]
    pub fn site(self) -> Option<u16> {
        Some(self.row().site).filter(|times| *times > 0)
    }

    /// Whether somebody whose webhooks n8n takes may be here by a slip, and go on sending them.
    #[must_use]
    pub fn spares_senders(self) -> bool {
        self.row().slip
    }

    /// Its name in the policy, in metrics, in logs and on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

impl fmt::Display for Jail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enums() {
        for (at, row) in OFFENCES.iter().enumerate() {
            assert_eq!(row.offence as usize, at, "{}", row.name);
            assert!(!row.jails.is_empty(), "{}", row.name);
            assert_eq!(Offence::named(row.name), Some(row.offence));
        }
        for (at, row) in JAILS.iter().enumerate() {
            assert_eq!(row.jail as usize, at, "{}", row.name);
            assert_eq!(Jail::named(row.name), Some(row.jail));
        }
    }
}
