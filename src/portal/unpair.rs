//! The far end, as it is shown at the kiosk, and how it is forgotten there.

use super::candidate;
use crate::config::{Config, Loaded, paired};
use crate::display::FarEnd;
use crate::pairing::Fingerprint;

/// As many characters of a fingerprint stand for a name: four bytes.
const FINGERPRINT_BEGINS: usize = 11;

/// With whom this portal is paired, for the settings page.
pub(super) fn far_end(loaded: &Loaded) -> Option<FarEnd> {
    let pairing = &loaded.config.pairing;
    let fingerprint = pairing.far_end?.to_string();
    let name = if pairing.site.is_empty() {
        format!("{}…", fingerprint.get(..FINGERPRINT_BEGINS).unwrap_or_default())
    } else {
        pairing.site.clone()
    };
    Some(FarEnd { name, by_code: loaded.is_paired_here() })
}

/// Forgets the far end that a code paired, wholly or not at all: whoever reads the files then begins again without it. `loaded` is in use, `own`
/// our fingerprint. The error says why it was not done, for the page.
pub(super) fn forget(loaded: &Loaded, own: Fingerprint) -> Result<(), String> {
    let Some(far_end) = loaded.config.pairing.far_end else { return Ok(()) };
    if !loaded.is_paired_here() {
        return Err("the configuration itself names the far end; take pairing.far_end out of it".into());
    }
    // The files are read now: where they are refused, the far end would be gone from the disk, and in use all the same.
    let mut next = Config::load(&loaded.sources).map_err(|error| error.to_string())?;
    // A pairing that cannot be read may go, too.
    next.damaged_pairing = None;
    if let Some(why) = candidate::refusal(loaded, &next, own) {
        return Err(why);
    }
    let folder = &loaded.config.data.folder;
    let not_removed = |error| format!("{}: {error}; make the folder writable", paired::path(folder).display());
    paired::remove(folder).map_err(not_removed)?;
    tracing::info!(site = loaded.config.pairing.site, %far_end, "unpaired at the kiosk: the far end is forgotten");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};
    use crate::pairing;
    use std::path::Path;

    const NAMED: &str = "[site]\nname = \"Harbour\"\n";

    fn own() -> Fingerprint {
        Fingerprint::of(b"ours")
    }

    fn load(folder: &Path) -> Loaded {
        let data = Flag::new("--data", "data", "folder", folder.display().to_string());
        let sources = Sources { file: Some(folder.join("portal.toml")), flags: vec![data], ..Sources::default() };
        Config::load(&sources).unwrap()
    }

    /// A portal with this `portal.toml` that was paired by a code with the one of this name.
    fn paired_with(site: &str, text: &str) -> (tempfile::TempDir, Loaded) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("portal.toml"), text).unwrap();
        let far_end = Some(Fingerprint::of(b"theirs"));
        let pairing = pairing::Config { far_end, site: site.into(), ..pairing::Config::default() };
        paired::save(folder.path(), &pairing).unwrap();
        let loaded = load(folder.path());
        (folder, loaded)
    }

    #[test]
    fn the_far_end_of_a_code_is_forgotten() {
        let (folder, loaded) = paired_with("Hilltop", NAMED);
        assert_eq!(far_end(&loaded), Some(FarEnd { name: "Hilltop".into(), by_code: true }));
        assert_eq!(forget(&loaded, own()), Ok(()));
        let next = load(folder.path());
        assert!(far_end(&next).is_none() && !paired::path(folder.path()).exists());
        assert_eq!(candidate::refusal(&loaded, &next, own()), None, "and the portal takes it");
        assert_eq!(forget(&loaded, own()), Ok(()), "somebody else was faster");
        assert_eq!(forget(&next, own()), Ok(()), "there is nobody to forget");
    }

    #[test]
    fn a_far_end_without_a_name_goes_by_its_fingerprint() {
        let (_folder, loaded) = paired_with("", NAMED);
        let name = format!("{}…", &Fingerprint::of(b"theirs").to_string()[..11]);
        assert_eq!(far_end(&loaded), Some(FarEnd { name, by_code: true }));
    }

    #[test]
    fn whoever_is_paired_by_the_configuration_stays_so() {
        let (folder, loaded) =
            paired_with("Hilltop", &format!("[pairing]\nfar_end = \"{}\"\n", Fingerprint::of(b"another")));
        assert!(far_end(&loaded).is_some_and(|far_end| !far_end.by_code));
        let why = forget(&loaded, own()).unwrap_err();
        assert!(why.contains("the configuration itself names the far end"), "{why}");
        assert!(paired::path(folder.path()).exists());
    }

    /// A configuration that is refused, and a disk that does not do it.
    #[test]
    fn nothing_is_half_forgotten() {
        for (text, said) in [("[site", "portal.toml"), ("# nothing\n", "says nothing any more")] {
            let (folder, loaded) = paired_with("Hilltop", NAMED);
            std::fs::write(folder.path().join("portal.toml"), text).unwrap();
            let why = forget(&loaded, own()).unwrap_err();
            assert!(why.contains(said), "{why}");
            assert!(paired::path(folder.path()).exists(), "{text}");
        }
        let (folder, loaded) = paired_with("Hilltop", NAMED);
        // What is no file is not taken away, and even root is told so.
        std::fs::remove_file(paired::path(folder.path())).unwrap();
        std::fs::create_dir(paired::path(folder.path())).unwrap();
        let why = forget(&loaded, own()).unwrap_err();
        assert!(why.contains(paired::FILE_NAME) && why.contains("writable"), "{why}");
    }
}
