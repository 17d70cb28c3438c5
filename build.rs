//! Puts data into the binary: the providers of `config/providers/`, and with the feature `docs` the pages at `/docs/`.

#[path = "build/providers.rs"]
mod providers;
#[cfg(feature = "docs")]
#[path = "build/site.rs"]
mod site;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    providers::write()?;
    #[cfg(feature = "docs")]
    site::write()?;
    Ok(())
}
