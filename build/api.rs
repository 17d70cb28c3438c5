//! The page of the API: Swagger UI, by those of its files that the page loads.

use std::error::Error;
use std::io::{Cursor, Read};

use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

use super::Site;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Adds the page, which is ours, and the script and style sheet of Swagger UI.
///
/// # Errors
/// An archive of Swagger UI that is broken or lacks a file, or an output that fails.
pub(crate) fn add(site: &mut Site) -> Result<(), Box<dyn Error>> {
    site.add("api/", "text/html; charset=utf-8", include_bytes!("api/index.html"))?;
    site.add("api/index.css", STYLE, include_bytes!("api/index.css"))?;
    site.add("api/swagger-initializer.js", SCRIPT, include_bytes!("api/swagger-initializer.js"))?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for (name, media_type) in [("swagger-ui.css", STYLE), ("swagger-ui-bundle.js", SCRIPT)] {
        let content = unpacked(&mut archive, name)?;
        site.add(&format!("api/{name}"), media_type, &content)?;
    }
    Ok(())
}

/// A file of the folder `dist` of Swagger UI.
fn unpacked(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    // The folder above is called by the version.
    let path = format!("/dist/{name}");
    for place in 0..archive.len() {
        let mut file = archive.by_index(place)?;
        if file.name()?.ends_with(&path) {
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            return Ok(content);
        }
    }
    Err(format!("utoipa-swagger-ui-vendored has no file that ends with {path}: give the name that its archive has")
        .into())
}
