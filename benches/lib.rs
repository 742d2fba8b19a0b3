//! What the benches of the parts share: a policy with as many networks as one likes.
//! `cargo bench -p gateway-benches` runs them; what a whole request costs stands in
//! `instructions.txt`.

#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "a bench whose policy is unfit has failed")]

use std::{fmt::Write, io, path::Path};

use gateway_config::{Answers, Config, World, load};

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The host of the policy.
pub const HOST: &str = "n8n.example.com";

const POLICY: &str = "\
version: 1
site: { host: n8n.example.com }
tls: { self_signed: true }
networks: { team: { file: team.txt } }
access: { editor: team }
state: { dir: state }
";

/// A policy whose editor is for the networks that stand in a file beside it.
#[derive(Clone, Debug)]
pub struct Files {
    networks: String,
}

impl Files {
    /// So many networks, none of which touches another.
    #[must_use]
    pub fn with(networks: u32) -> Self {
        let mut lines = String::new();
        for n in 0..networks {
            let [_, high, middle, low] = (n << 1).to_be_bytes();
            writeln!(lines, "{}.{high}.{middle}.{low}", 11 + n % 80).expect("a string takes it");
        }
        Self { networks: lines }
    }

    /// Reads the policy, and everything that it names.
    #[must_use]
    pub fn load(&self) -> Config {
        load(Path::new("policy.yaml"), self, &Answers::new()).expect("a fit policy")
    }
}

impl World for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("policy.yaml") => Ok(POLICY.into()),
            Some("team.txt") => Ok(self.networks.clone().into()),
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
