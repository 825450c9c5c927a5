//! The virtual machine of `tests/rig`, and the USB camera in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Set inside the machine.
pub const INSIDE: &str = "SCREEN_PORTAL_RIG";
/// Options for a machine with a USB port.
pub const USB: [&str; 4] = ["--module", "vhci-hcd", "--module", "uvcvideo"];

/// Runs the test of this path inside the machine, and returns true where its work is to be done: inside.
pub fn inside(test: &str, options: &[&str]) -> bool {
    /// Two machines at once would only measure each other.
    static ONE: Mutex<()> = Mutex::new(());
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let rig = Path::new("tests/rig/vm-run");
    if !cache().join("uml/linux").exists() {
        println!("skipped: no kernel for the rig; see tests/rig/README.md");
        return false;
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(rig);
    command.args(["--engine", "uml", "--cpus", "1", "--timeout", "120", "--env", &format!("{INSIDE}=1")]).args(options);
    command.arg("--").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    // Built outside, where there is a compiler at full speed.
    usb_camera();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{err}");
    assert!(output.status.success(), "inside the machine: {}", output.status);
    false
}

fn cache() -> PathBuf {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    folder("VMRIG_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("vmrig")))
        .or_else(|| Some(folder("HOME")?.join(".cache/vmrig")))
        .unwrap_or_default()
}

/// The program that plays a USB camera.
fn usb_camera() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uvccam");
    let source = Path::new("tests/rig/uvccam.rs");
    if !program.exists() {
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let built = Command::new(rustc)
            .args(["--edition", "2021", "-O", "-A", "warnings", "-o"])
            .arg(&program)
            .arg(source)
            .status();
        assert!(built.unwrap().success());
    }
    program
}

/// A USB camera that is plugged, unplugged, stalled by a word.
pub struct Usb(Child);

impl Usb {
    /// Plugs in a camera of this name: YUYV in these sizes, and JPEGs if there is a film of them.
    pub fn plug(name: &str, sizes: &[&str], film: Option<&Path>) -> Self {
        Self::plug_into(0, name, sizes, film)
    }

    /// The same, into this port of the machine.
    pub fn plug_into(port: u32, name: &str, sizes: &[&str], film: Option<&Path>) -> Self {
        let mut command = Command::new(usb_camera());
        command
            .args(["--port", &port.to_string(), "--name", name])
            .args(sizes.iter().flat_map(|size| ["--size", size]));
        if let Some(film) = film {
            command.arg("--mjpeg").arg(film);
        }
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    /// `unplug`, `plug`, `stall` or `flow`; returns when it was said.
    pub fn say(&mut self, word: &str) -> Instant {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{word}").unwrap();
        Instant::now()
    }
}

impl Drop for Usb {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
