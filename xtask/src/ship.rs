//! What is shipped: the static program, the image, the Debian package, and the list of what is in them.

mod image;
mod list;
mod package;
mod program;

use std::path::{Path, PathBuf};

use self::program::static_program;
pub(crate) use self::{image::image, package::package};

/// Where something that is shipped goes, and what it is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A static program that is already built, in place of building one.
    #[arg(long, value_name = "PATH")]
    pub(crate) binary: Option<PathBuf>,
    /// Where to put it. Default: `target/ship`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
}

impl Options {
    /// The program that is shipped, built unless it is given.
    async fn program(&self) -> anyhow::Result<PathBuf> {
        match &self.binary {
            Some(given) => Ok(std::path::absolute(given)?),
            None => static_program().await,
        }
    }

    /// Where it goes; the folder is made.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.output.clone().unwrap_or_else(default_folder);
        std::fs::create_dir_all(&folder)?;
        Ok(std::path::absolute(folder)?)
    }
}

/// Where what is shipped goes unless somebody says so.
pub(crate) fn default_folder() -> PathBuf {
    crate::target().join("ship")
}

/// Makes everything in `folder`, around one program.
pub(crate) async fn all(folder: &Path) -> anyhow::Result<()> {
    let program = static_program().await?;
    let options = || Options { binary: Some(program.clone()), output: Some(folder.to_owned()) };
    image(options(), false).await?;
    package(options()).await
}
