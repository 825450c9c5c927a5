//! Which cameras there are.
//!
//! nokhwa lists device nodes unsorted, and a USB camera twice (the second node carries metadata, not pictures); its numbers
//! change when a camera is plugged out and in. Here a camera is what delivers pictures, and its name is what the
//! camera calls itself and where it is plugged in.

use super::Error;
use super::choose::{CameraFormat, Coding};
use crate::media::Size;
use std::io;
use std::path::PathBuf;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys::v4l2_capability;
use v4l::v4l2;
use v4l::video::Capture;

/// Where udev keeps links to devices that outlive their numbers: by what they are, and by where they are plugged in.
const LINKS: [&str; 2] = ["/dev/v4l/by-path", "/dev/v4l/by-id"];
/// Cameras may offer sizes and rates in steps; these are picked out of them.
const USUAL_SIZES: [Size; 6] = [
    Size::new(320, 180),
    Size::new(640, 360),
    Size::new(640, 480),
    Size::new(1280, 720),
    Size::new(1920, 1080),
    Size::new(3840, 2160),
];
const USUAL_RATES: [u32; 9] = [5, 10, 15, 20, 24, 25, 30, 50, 60];

/// A camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraInfo {
    /// The number of its device node, which changes when it is plugged out and in.
    pub number: u32,
    /// What it calls itself.
    pub card: String,
    /// Where it is plugged in, `usb-0000:00:14.0-2` for instance; empty if it could not be asked.
    pub bus: String,
    /// udev's links to its device node, sorted; none where there is no udev.
    pub links: Vec<PathBuf>,
    /// The formats that can be used, sorted.
    pub formats: Vec<CameraFormat>,
    /// Why it could not be asked for its formats, with the remedy.
    pub problem: Option<String>,
    /// Whether this user may open it.
    pub(super) permitted: bool,
}

impl CameraInfo {
    /// The stable name, by which the configuration refers to a camera.
    pub fn name(&self) -> String {
        if self.bus.is_empty() { self.card.clone() } else { format!("{} ({})", self.card, self.bus) }
    }

    /// The device node.
    pub fn node(&self) -> PathBuf {
        node(self.number)
    }

    /// Name and device node, for messages.
    pub fn title(&self) -> String {
        format!("camera \"{}\" at {}", self.card, self.node().display())
    }
}

fn node(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/video{number}"))
}

/// All cameras, sorted by device node; those that may not be opened too, with the problem.
pub fn cameras() -> Vec<CameraInfo> {
    numbers().into_iter().filter_map(look_at).collect()
}

/// The numbers of all video devices, sorted, cameras or not: cheap, for whoever wants to know whether one came or went.
pub(super) fn numbers() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("video")?.parse().ok();
    let mut numbers: Vec<u32> = entries.flatten().filter_map(|entry| number(entry.file_name())).collect();
    numbers.sort_unstable();
    numbers
}

/// The links to this device node.
fn links(number: u32) -> Vec<PathBuf> {
    let node = node(number);
    let in_folder = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = LINKS.into_iter().flat_map(in_folder).map(|entry| entry.path());
    let mut links: Vec<_> = entries.filter(|link| link.canonicalize().is_ok_and(|target| target == node)).collect();
    links.sort_unstable();
    links
}

/// `None` for a node that is no camera, or gone meanwhile.
fn look_at(number: u32) -> Option<CameraInfo> {
    match v4l::Device::new(number as usize) {
        Ok(device) => {
            let caps = capabilities(&device).ok()?;
            let mut formats = formats(&device);
            formats.sort_unstable();
            formats.dedup();
            let (card, bus) = (without_echo(text(&caps.card)), text(&caps.bus_info));
            let links = links(number);
            let camera = CameraInfo { number, card, bus, links, formats, problem: None, permitted: true };
            (!camera.formats.is_empty()).then_some(camera)
        }
        Err(error) => {
            let permitted = error.kind() != io::ErrorKind::PermissionDenied;
            if permitted && error.raw_os_error() != Some(libc::EBUSY) {
                return None;
            }
            let name = std::fs::read_to_string(format!("/sys/class/video4linux/video{number}/name"));
            let card = text(name.unwrap_or_else(|_| "unknown".into()).trim().as_bytes());
            let (bus, formats, links) = (String::new(), Vec::new(), links(number));
            let mut camera = CameraInfo { number, card, bus, links, formats, problem: None, permitted };
            camera.problem = Some(if permitted { busy(&camera) } else { no_permission(&camera) }.to_string());
            Some(camera)
        }
    }
}

pub(super) fn no_permission(camera: &CameraInfo) -> Error {
    Error::Permission { camera: camera.title() }
}

pub(super) fn busy(camera: &CameraInfo) -> Error {
    Error::Busy { camera: camera.title(), holder: holder(camera.number).unwrap_or_else(|| "another program".into()) }
}

/// Text from a driver or a USB descriptor: cut off anywhere, padded with zeroes, in the worst case hostile.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    text.chars().filter(|c| !c.is_control()).take(80).collect::<String>().trim().to_owned()
}

/// USB cameras are called "Name: Name", cut off after 31 bytes.
fn without_echo(card: String) -> String {
    match card.split_once(": ") {
        Some((name, echo)) if name.starts_with(echo) => name.to_owned(),
        _ => card,
    }
}

/// Asked directly: v4l's own `query_caps` panics on a name that is no UTF-8, and the kernel cuts long ones anywhere.
fn capabilities(device: &v4l::Device) -> io::Result<v4l2_capability> {
    // SAFETY: v4l2_capability is plain data, all zeroes is a valid value of it.
    let mut caps: v4l2_capability = unsafe { std::mem::zeroed() };
    let pointer = (&raw mut caps).cast();
    // SAFETY: VIDIOC_QUERYCAP fills in one v4l2_capability, and the pointer is to one of our own.
    unsafe { v4l2::ioctl(device.handle().fd(), v4l2::vidioc::VIDIOC_QUERYCAP, pointer) }?;
    Ok(caps)
}

/// The formats of a device that can be used; none for a device that is no camera.
fn formats(device: &v4l::Device) -> Vec<CameraFormat> {
    let mut formats = Vec::new();
    for coding in [Coding::Nv12, Coding::Yuyv, Coding::Mjpeg] {
        let fourcc = v4l::FourCC::new(&coding.fourcc());
        for listed in device.enum_framesizes(fourcc).unwrap_or_default() {
            for size in sizes(&listed.size) {
                let intervals = device.enum_frameintervals(fourcc, size.width, size.height).unwrap_or_default();
                let rates = intervals.iter().flat_map(|listed| rates(&listed.interval));
                formats.extend(rates.map(|fps| CameraFormat { coding, width: size.width, height: size.height, fps }));
            }
        }
    }
    formats
}

fn sizes(listed: &FrameSizeEnum) -> Vec<Size> {
    match listed {
        FrameSizeEnum::Discrete(size) => vec![Size::new(size.width, size.height)],
        FrameSizeEnum::Stepwise(steps) => {
            let on_step = |side: u32, least: u32, most: u32, step: u32| {
                (least..=most).contains(&side) && (side - least).is_multiple_of(step.max(1))
            };
            let largest = Size::new(steps.max_width, steps.max_height);
            let offered = |size: &Size| {
                on_step(size.width, steps.min_width, steps.max_width, steps.step_width)
                    && on_step(size.height, steps.min_height, steps.max_height, steps.step_height)
            };
            USUAL_SIZES.into_iter().filter(offered).chain([largest]).collect()
        }
    }
}

/// Only whole pictures per second: nokhwa refuses anything else.
fn rates(listed: &FrameIntervalEnum) -> Vec<u32> {
    match listed {
        FrameIntervalEnum::Discrete(interval) if interval.numerator == 1 => vec![interval.denominator],
        FrameIntervalEnum::Discrete(_) => Vec::new(),
        FrameIntervalEnum::Stepwise(steps) => {
            let seconds = |f: v4l::Fraction| f64::from(f.numerator) / f64::from(f.denominator.max(1));
            let range = seconds(steps.min)..=seconds(steps.max);
            USUAL_RATES.into_iter().filter(|&fps| range.contains(&(1.0 / f64::from(fps)))).collect()
        }
    }
}

/// Which program has the device open, as far as this user may see it.
fn holder(number: u32) -> Option<String> {
    let (node, own) = (node(number), std::process::id().to_string());
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let id = process.file_name();
        let Some(id) = id.to_str().filter(|id| id.parse::<u32>().is_ok() && **id != own) else { continue };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == node)) {
            let name = std::fs::read(process.path().join("comm")).unwrap_or_default();
            return Some(format!("\"{}\" (process {id})", text(name.trim_ascii())));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_made_harmless() {
        assert_eq!(text(b"Caf\xC3\xA9\x1b[31m Cam\0garbage"), "Caf\u{e9}[31m Cam");
        assert_eq!(text(b"cut in the middle of a letter \xC3"), "cut in the middle of a letter \u{FFFD}");
        assert_eq!(text(&[b'x'; 500]).len(), 80);
        assert_eq!(without_echo("Wide Conference Cam: Wide Confe".into()), "Wide Conference Cam");
        assert_eq!(without_echo("Camera: front".into()), "Camera: front");
    }

    #[test]
    fn who_has_a_device_is_found_without_harm() {
        assert_eq!(holder(u32::MAX), None);
    }
}
